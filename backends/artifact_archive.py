"""An artifact's folder as bytes: a tar archive, small enough to travel in memory, whoever wrote it.

A compiler runs users' code, and so does the runner that unpacks: whoever reads an archive must not trust it.
Reading is bounded by the number of bytes that came; unpacking makes new files
inside the folder and nothing else.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath

LARGEST_ARCHIVE_BYTES = 512 << 20
ARTIFACT_FOLDER = "artifact"
"""Its name in the folder of whoever makes or takes it: the same path for both where their folders have one name."""


class BadArchive(Exception):
    """These bytes are no artifact."""


class ArtifactTooLarge(Exception):
    """The folder does not fit into an archive of the size allowed."""


class _Bounded(io.RawIOBase):
    """Writes to a descriptor, up to a limit."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        chunk = memoryview(data).cast("B")  # type: ignore[arg-type]
        if self.written + len(chunk) > self._limit:
            raise ArtifactTooLarge(f"the compiled kernel takes more than {self._limit >> 20} MiB")
        done = 0
        while done < len(chunk):
            done += os.pwrite(self._descriptor, chunk[done:], self.written + done)
        self.written += done
        return done


def pack(folder: Path, descriptor: int, limit: int = LARGEST_ARCHIVE_BYTES) -> int:
    """Write the regular files of a folder from the start of `descriptor`; returns how many bytes that took.

    The same files give the same bytes. Raises ArtifactTooLarge or OSError.
    """
    target = _Bounded(descriptor, limit)
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                archive.add(path, str(path.relative_to(folder)), recursive=False, filter=_without_origin)
    return target.written


def _without_origin(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Neither owner nor time: they say nothing about the kernel."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


def unpack(descriptor: int, nbytes: int, folder: Path) -> None:
    """Put the files of an archive of `nbytes` bytes into a folder that exists. Raises BadArchive or OSError."""
    content = os.pread(descriptor, nbytes, 0)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                _extract(archive, member, folder)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise BadArchive(f"expected an archive of a compiled kernel: {error}") from None


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One file, as a new one inside the folder; anything else is no artifact's."""
    name = PurePosixPath(member.name)
    source = archive.extractfile(member) if member.isreg() else None
    if source is None or name.is_absolute() or ".." in name.parts or not name.parts:
        raise BadArchive(f"expected files inside the archive's own folder, found {member.name!r}")
    target = folder.joinpath(*name.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as copy:
        shutil.copyfileobj(source, copy)
