"""The artifact cache: compiled kernels by the content they were made from.

::

    FOLDER/ab/abcdef….artifact     one line of JSON (size, SHA-256 of the rest), then the archive
    FOLDER/tmp/                    what is being written; appears under its name by a rename
    FOLDER/counters.json           hits and misses so far
    FOLDER/lock                    held while something is evicted or counted

Only daemons write here, any number of them at once: an entry is complete when it appears, two that publish the
same key publish the same thing, and what vanishes while it is read is a miss. The least recently used entries go
when the cache outgrows its limit; the time of last use is the file's modification time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from kbd.backends.artifact_archive import LARGEST_ARCHIVE_BYTES

SUFFIX: Final = ".artifact"
CHUNK_BYTES: Final = 1 << 20
HEADER_BYTES: Final = 65_536
LEFT_AFTER_EVICTION: Final = 0.9
STALE_S: Final = 3600.0
LOCK_TIMEOUT_S: Final = 10.0
SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@dataclass(frozen=True)
class SealedArchive:
    """An artifact's archive in memory that nobody can change any more. Whoever holds it closes it.

    `unfinished`: what could not be built without a device and is built where the kernel is loaded.
    """

    descriptor: int
    nbytes: int
    unfinished: str | None = None

    def close(self) -> None:
        """Let the memory go."""
        os.close(self.descriptor)


@dataclass(frozen=True)
class Counters:
    """What the cache has been good for so far. `broken`: entries whose checksum did not fit."""

    hits: int = 0
    misses: int = 0
    published: int = 0
    evicted: int = 0
    broken: int = 0


@dataclass(frozen=True)
class Usage:
    """How full the cache is."""

    entries: int
    nbytes: int
    limit_bytes: int
    counters: Counters


class ArtifactCache:
    """Archives by key in one folder. Every method may be called from any thread; all raise OSError."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self._limit = limit_bytes
        self._temporary = folder / "tmp"

    def fetch(self, key: str) -> SealedArchive | None:
        """The archive of this key, checked and copied into sealed memory; None if there is none.

        An entry that does not fit its checksum is removed: it will be built again.
        """
        path = self._path(key)
        archive, broken = None, False
        with contextlib.suppress(FileNotFoundError), path.open("rb") as entry:
            archive = _read(entry)
            broken = archive is None
        if broken:
            path.unlink(missing_ok=True)
        if archive is not None:
            with contextlib.suppress(FileNotFoundError):
                os.utime(path)
        self._count(hits=int(archive is not None), misses=int(archive is None), broken=int(broken))
        return archive

    def publish(self, key: str, archive: SealedArchive) -> None:
        """Keep an archive under this key, and let older ones go if there are too many."""
        self._write(key, archive)
        self._count(published=1)
        self._evict()

    def usage(self) -> Usage:
        """What is there now."""
        sizes = [size for _, _, size in self.entries()]
        return Usage(len(sizes), sum(sizes), self._limit, self._counters())

    def clear(self) -> Usage:
        """Remove every entry; returns what there was. A build that ends meanwhile appears afterwards."""
        before = self.usage()
        for _, path, _ in self.entries():
            path.unlink(missing_ok=True)
        (self.folder / "counters.json").unlink(missing_ok=True)
        return before

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def _write(self, key: str, archive: SealedArchive) -> None:
        path = self._path(key)
        self._make_folders(self._temporary, path.parent)
        header = _header(archive)
        descriptor, name = tempfile.mkstemp(dir=self._temporary)
        try:
            with open(descriptor, "wb") as entry:
                entry.write(header)
                for chunk in _chunks(archive.descriptor, archive.nbytes):
                    entry.write(chunk)
            os.rename(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _make_folders(self, *inner: Path) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.folder, *inner):
            folder.mkdir(mode=0o700, exist_ok=True)

    def entries(self) -> list[tuple[float, Path, int]]:
        """Time of last use, path and size of every entry, oldest first."""
        found = []
        for path in self.folder.glob(f"??/*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, path, status.st_size))
        return sorted(found)

    def _evict(self) -> None:
        """Remove what was not used for the longest time, if there is too much."""
        entries = self.entries()
        total, evicted = sum(size for _, _, size in entries), 0
        if total > self._limit:
            for _, path, size in entries:
                if total <= self._limit * LEFT_AFTER_EVICTION:
                    break
                path.unlink(missing_ok=True)
                total, evicted = total - size, evicted + 1
            self._count(evicted=evicted)
        self._remove_stale()

    def _remove_stale(self) -> None:
        """What a daemon was writing when it died."""
        for path in self._temporary.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - STALE_S:
                    path.unlink()

    def _counters(self) -> Counters:
        try:
            return Counters(**json.loads((self.folder / "counters.json").read_text()))
        except (OSError, ValueError, TypeError):
            return Counters()

    def _count(self, **more: int) -> None:
        self._make_folders()
        with FileLock(self.folder / "lock", timeout=LOCK_TIMEOUT_S):
            before = asdict(self._counters())
            counters = replace(Counters(), **{name: before[name] + more.get(name, 0) for name in before})
            temporary = self.folder / f"counters.{secrets.token_hex(4)}"
            temporary.write_text(json.dumps(asdict(counters)))
            temporary.replace(self.folder / "counters.json")


def _header(archive: SealedArchive) -> bytes:
    digest = hashlib.sha256()
    for chunk in _chunks(archive.descriptor, archive.nbytes):
        digest.update(chunk)
    described = {"nbytes": archive.nbytes, "sha256": digest.hexdigest(), "unfinished": archive.unfinished}
    return json.dumps(described).encode() + b"\n"


def seal(descriptor: int, nbytes: int, unfinished: str | None = None) -> SealedArchive:
    """The first `nbytes` bytes of a descriptor, out of reach of whoever wrote them."""
    return replace(_sealed_copy(descriptor, nbytes)[0], unfinished=unfinished)


def _read(entry: Any) -> SealedArchive | None:
    """The archive of an open entry; None if anything about it is not as it was written."""
    try:
        header = json.loads(entry.readline(HEADER_BYTES))
        nbytes, expected, unfinished = int(header["nbytes"]), header["sha256"], header["unfinished"]
    except (ValueError, KeyError, TypeError):
        return None
    start = entry.tell()
    if os.fstat(entry.fileno()).st_size != start + nbytes or nbytes > LARGEST_ARCHIVE_BYTES:
        return None
    archive, digest = _sealed_copy(entry.fileno(), nbytes, start)
    if digest != expected:
        archive.close()
        return None
    return replace(archive, unfinished=unfinished)


def _sealed_copy(descriptor: int, nbytes: int, start: int = 0) -> tuple[SealedArchive, str]:
    """The bytes in memory of our own, and their SHA-256."""
    digest = hashlib.sha256()
    copy = os.memfd_create("kbd-artifact", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for chunk in _chunks(descriptor, nbytes, start):
            digest.update(chunk)
            _write_all(copy, chunk)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(copy)
        raise
    return SealedArchive(copy, nbytes), digest.hexdigest()


def _chunks(descriptor: int, nbytes: int, start: int = 0) -> Iterator[bytes]:
    end = start + nbytes
    while start < end:
        chunk = os.pread(descriptor, min(CHUNK_BYTES, end - start), start)
        if not chunk:
            raise OSError(f"expected {end - start} more bytes, found the end")
        yield chunk
        start += len(chunk)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
