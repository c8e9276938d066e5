"""The one place that renames, links, writes for good and fsyncs.

Everything kbd hands from one owner to another passes through these functions, because they know what
a network file system can do to the plain system calls:

* a rename that succeeded on the server and reports ENOENT, because the first reply was lost;
* a link that reports EEXIST about itself, for the same reason: same inode means success;
* ESTALE after a server restart: one retry, then it counts as ENOENT;
* fsync or close reporting EIO: the file is dropped and written anew, never fsynced a second time
  (after a failed fsync the kernel may have marked the lost pages clean).

All functions raise plain OSError: what that means for a job is decided by the caller.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_WRITE_ONCE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_FSYNC_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP})
_FILES_PER_FLUSH = 128


def rename_once(source: Path, target: Path) -> None:
    """Move `source` (of any file type; never followed) to `target`, which must not exist.

    Not durable by itself: fsync both folders, once per batch.

    Raises:
        FileNotFoundError: `source` is gone, or the folder of `target` is.
        FileExistsError: something is at `target` already; it was not touched. Check and rename are two calls,
            so each target folder needs a single writer (the epoch's owner, or the holder of a name).
        OSError: whatever else the file system says.
    """
    identity = _identity(source)
    if is_there(target):
        raise FileExistsError(errno.EEXIST, "the target of a rename exists already", os.fspath(target))
    try:
        _retry_stale(lambda: os.rename(source, target), source)
    except FileNotFoundError:
        if not _has_identity(target, identity):
            raise


def link_once(source: Path, target: Path) -> bool:
    """Give `source` the second name `target`, atomically and never over something else.

    Returns True when `target` is now this very file (also when an earlier try had made it so), False when
    another file has that name. Not durable by itself: fsync the folder of `target`.
    """
    identity = _identity(source)
    try:
        _retry_stale(lambda: os.link(source, target, follow_symlinks=False), source)
    except (FileExistsError, FileNotFoundError) as error:
        if _has_identity(target, identity):
            return True
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def is_there(path: Path) -> bool:
    """Whether a name is taken, by anything at all, in a folder that only this process writes to.

    For folders that other hosts write to this is no answer (negative entries are cached): list or open there.
    """
    try:
        _identity(path)
    except FileNotFoundError:
        return False
    return True


def create_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a new file and fsync it; the name appears before the content is whole, so use a temporary one.

    `mode` holds whatever the umask is: the daemon may run under another account than the writer.

    Raises:
        FileExistsError: the name is taken.
        OSError: nothing is left behind.
    """
    descriptor = os.open(path, _WRITE_ONCE, mode)
    try:
        try:
            os.fchmod(descriptor, mode)
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        remove(path)
        raise


def write_durably(target: Path, data: bytes, *, tmp_folder: Path, overwrite: bool) -> None:
    """Make `target` hold `data`, whole or not at all, and let it survive a loss of power.

    Args:
        target: the final name; on the same mount as `tmp_folder`.
        data: the whole content.
        tmp_folder: where it is written first.
        overwrite: replace what is there; otherwise a taken name is a FileExistsError.
    """
    write_all_durably([(target, data)], tmp_folder=tmp_folder, overwrite=overwrite)


def write_all_durably(items: Iterable[tuple[Path, bytes]], *, tmp_folder: Path, overwrite: bool) -> None:
    """Like `write_durably` for many files at the cost of few: data is flushed together, each folder once.

    Files are all written before the first is fsynced: on a journalling file system the first fsync of a
    group then carries the others.
    """
    folders: dict[Path, None] = {}
    group: list[tuple[Path, bytes]] = []
    for target, data in items:
        group.append((target, data))
        folders[target.parent] = None
        if len(group) == _FILES_PER_FLUSH:
            _write_group(group, tmp_folder, overwrite=overwrite)
            group.clear()
    _write_group(group, tmp_folder, overwrite=overwrite)
    for folder in folders:
        fsync_folder(folder)


def replace_lightly(target: Path, data: bytes, *, temporary: Path) -> None:
    """Make `target` hold `data`, whole or not at all, without a promise that it survives a loss of power.

    For what is written every few seconds. `temporary` is a name that nobody else writes to; on any error
    nothing is left there.
    """
    flags = (_WRITE_ONCE & ~os.O_EXCL) | os.O_TRUNC
    try:
        descriptor = os.open(temporary, flags, 0o644)
        try:
            os.fchmod(descriptor, 0o644)
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)
        _put(temporary, target, overwrite=True)
    except OSError:
        with contextlib.suppress(OSError):
            remove(temporary)
        raise


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable. File systems that cannot do this for folders are left at that."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _FOLDER_FSYNC_UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> bool:
    """Create one folder and make its name durable. Returns False when it exists already."""
    try:
        os.mkdir(path)
    except FileExistsError:
        if not path.is_dir():
            raise
        return False
    fsync_folder(path.parent)
    return True


def remove(path: Path) -> bool:
    """Delete a file of any type, or a folder with all it holds; symlinks are removed, never followed.

    Returns False when there was nothing. Errors are raised: what could not be removed must be known.
    """
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            import shutil  # here: few commands remove folders, and it is slow to import

            shutil.rmtree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _write_group(group: Sequence[tuple[Path, bytes]], tmp_folder: Path, *, overwrite: bool) -> None:
    temporaries: list[Path] = []
    try:
        with contextlib.ExitStack() as open_files:
            descriptors = [_start_temporary(tmp_folder, data, temporaries, open_files) for _, data in group]
            for descriptor, temporary, (_, data) in zip(descriptors, temporaries, group, strict=True):
                _flush_or_rewrite(descriptor, temporary, data)
        for temporary, (target, _) in zip(temporaries, group, strict=True):
            _put(temporary, target, overwrite=overwrite)
    finally:
        for temporary in temporaries:
            remove(temporary)


def _start_temporary(folder: Path, data: bytes, made: list[Path], open_files: contextlib.ExitStack) -> int:
    path = folder / f".{os.urandom(8).hex()}.tmp"
    descriptor = os.open(path, _WRITE_ONCE, 0o644)
    made.append(path)
    open_files.callback(os.close, descriptor)
    os.fchmod(descriptor, 0o644)
    _write_all(descriptor, data)
    return descriptor


def _flush_or_rewrite(descriptor: int, path: Path, data: bytes) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        remove(path)
        create_durably(path, data)


def _put(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if not overwrite:
        if not link_once(temporary, target):
            raise FileExistsError(errno.EEXIST, "the name is taken", os.fspath(target))
        return
    identity = _identity(temporary)
    try:
        _retry_stale(lambda: os.replace(temporary, target), temporary)
    except FileNotFoundError:
        if not _has_identity(target, identity):
            raise


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _identity(path: Path) -> tuple[int, int]:
    status = _retry_stale(lambda: os.lstat(path), path)
    return status.st_dev, status.st_ino


def _has_identity(path: Path, identity: tuple[int, int]) -> bool:
    try:
        return _identity(path) == identity
    except FileNotFoundError:
        return False


def _retry_stale(call: Callable[[], Result], path: Path) -> Result:
    try:
        return call()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
    try:
        return call()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        message = "stale file handle, also when tried again: the server no longer knows this file"
        raise FileNotFoundError(errno.ENOENT, message, os.fspath(path)) from error
