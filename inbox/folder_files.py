"""The files that lie beside the manifest in a job's folder.

Every path is walked from the folder's descriptor, one component at a time, without following a symlink; so no
name leads out of the folder, whatever happens to it meanwhile.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kbd.inbox.errors import UnsafeFile
from kbd.inbox.safe_load import open_folder, open_regular, read_descriptor

MAX_ENTRIES = 10_000

_MAX_DEPTH = 16
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How many bytes are read at most: of a manifest, a source file, any other file, all other files of a job."""

    manifest_bytes: int = 1 << 20
    source_bytes: int = 1 << 20
    sidecar_bytes: int = 2 << 30
    job_bytes: int = 8 << 30


@dataclass(frozen=True, slots=True)
class SideFile:
    """A file that a manifest names, as it was when it was read."""

    name: str
    size_bytes: int
    sha256: str


class FolderFiles:
    """Reads from one job's folder, and remembers what it has read in `side_files`.

    Attributes:
        missing: names that were asked for and are not there.

    All methods raise UnsafeFile for what must not be read, FileNotFoundError for what is not there, and OSError
    where the file system fails.
    """

    def __init__(self, folder_fd: int, limits: ReadLimits) -> None:
        self._folder_fd = folder_fd
        self._limits = limits
        self._read: dict[str, SideFile] = {}
        self.missing: set[str] = set()

    @property
    def side_files(self) -> tuple[SideFile, ...]:
        """What was read so far, by name."""
        return tuple(self._read[name] for name in sorted(self._read))

    def names(self) -> list[str]:
        """Everything that lies directly in the folder; bytes that are no UTF-8 are shown as escapes."""
        names: list[str] = []
        with os.scandir(self._folder_fd) as entries:
            for entry in entries:
                names.append(os.fsencode(entry.name).decode("utf-8", "backslashreplace"))
                if len(names) > MAX_ENTRIES:
                    raise UnsafeFile(f"expected at most {MAX_ENTRIES} files in a job folder, found more")
        return sorted(names)

    def read_manifest(self, name: str) -> bytes:
        """The content of the manifest, which is not one of the side files."""
        with self.opened(name) as descriptor:
            return read_descriptor(descriptor, self._limits.manifest_bytes, name)

    def read_source(self, name: str) -> str:
        """The text of a source file. Raises UnsafeFile too where it is not UTF-8."""
        with self.opened(name) as descriptor:
            data = read_descriptor(descriptor, self._limits.source_bytes, name)
        self._read[name] = SideFile(name, len(data), hashlib.sha256(data).hexdigest())
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            place = f"byte 0x{data[error.start]:02x} at offset {error.start}"
            raise UnsafeFile(f"{name}: expected UTF-8 text, found {place}; save it as UTF-8") from None

    def check(self, name: str) -> None:
        """Read a data file through, for its size and digest."""
        if name in self._read:
            return
        size_bytes, digest = 0, hashlib.sha256()
        with self.opened(name) as descriptor:
            self._require_room(name, os.fstat(descriptor).st_size)
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                size_bytes += len(chunk)
                self._require_room(name, size_bytes)
                digest.update(chunk)
        self._read[name] = SideFile(name, size_bytes, digest.hexdigest())

    def _require_room(self, name: str, size_bytes: int) -> None:
        """Raise UnsafeFile for a data file of this size that is too large, or too much with those read before."""
        if size_bytes > self._limits.sidecar_bytes:
            expected = f"expected at most {self._limits.sidecar_bytes} bytes, found more"
            raise UnsafeFile(f"{name}: {expected}; make it smaller")
        total_bytes = size_bytes + sum(side.size_bytes for side in self._read.values())
        if total_bytes > self._limits.job_bytes:
            expected = f"expected at most {self._limits.job_bytes} bytes in all files of a job, found more"
            raise UnsafeFile(
                f"{name}: {expected}; let inputs be drawn (init), or make more than one job of it"
            )

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[int]:
        """A descriptor of one file."""
        *folders, last = _components(name)
        with contextlib.ExitStack() as stack:
            here = self._folder_fd
            try:
                for folder in folders:
                    here = open_folder(folder, dir_fd=here)
                    stack.callback(os.close, here)
                descriptor = open_regular(last, dir_fd=here)
            except FileNotFoundError:
                self.missing.add(name)
                raise
            stack.callback(os.close, descriptor)
            yield descriptor


class ArrivingFiles(FolderFiles):
    """Of a folder that may still be arriving: it counts which data files are there, and none is read."""

    def check(self, name: str) -> None:
        """See that a data file can be opened."""
        with self.opened(name):
            pass


@contextlib.contextmanager
def file_beside(folder: Path, name: str) -> Iterator[int]:
    """A descriptor of a file in a job's folder, whatever became of it since. Raises as FolderFiles does."""
    folder_fd = open_folder(folder)
    try:
        with FolderFiles(folder_fd, ReadLimits()).opened(name) as descriptor:
            yield descriptor
    finally:
        os.close(folder_fd)


def _components(name: str) -> list[str]:
    parts = name.split("/")
    if PurePosixPath(name).is_absolute() or ".." in parts:
        raise UnsafeFile(
            f"{name!r} leaves the job's folder; put the file beside the manifest and name it plainly"
        )
    if not all(part not in ("", ".") for part in parts) or len(parts) > _MAX_DEPTH:
        raise UnsafeFile(f"{name!r} is no plain relative path; write it like kernels/softmax.cu")
    return parts
