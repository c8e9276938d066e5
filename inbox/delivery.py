"""The safe way to put a job into the inbox, as `kbd submit` does it.

Write `inbox/.NAME.tmp` (a folder for a folder), fsync, rename to the final name. The temporary name is
created exclusively and so reserves NAME among clients that do the same: none overwrites the job of another.
"""

import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from kbd.inbox.durable import create_durably, fsync_folder, make_folder, remove, rename_once
from kbd.inbox.errors import InboxError, UnsafeFile
from kbd.inbox.job_id import intended_id
from kbd.inbox.names import JOB_DOCUMENTS, JOB_FOLDER_SUFFIX, MANIFEST_SUFFIXES, is_owner, job_name
from kbd.inbox.safe_load import open_regular
from kbd.inbox.spool import Spool

MANIFEST_LIMIT_BYTES = 1 << 20
SIDE_FILE_LIMIT_BYTES = 2 << 30

_COPY_CHUNK_BYTES = 1 << 20
_FILE_MODE = 0o644
_FOLDER_MODE = 0o775


class UndeliverableJob(InboxError):
    """A job cannot be put into the inbox; the text says why and what to do."""


def deliver(
    source: Path | bytes, spool: Spool, name: str, owner: str | None = None, *, document: bytes | None = None
) -> str:
    """Put a job into the inbox, whole or not at all, and make that durable.

    Files are readable for everybody and folders writable for the group afterwards, whatever the umask: a
    daemon under another account must be able to read the one and to move the other.

    Args:
        source: the bytes of a manifest, a manifest file, or a job folder (of which hidden files and
            `__pycache__` stay behind).
        spool: where to.
        name: how it is to be called there: NAME.yaml, NAME.yml, NAME.json, or NAME.job for a folder.
        owner: the sub-folder of the inbox to use; made when it is missing.
        document: for a folder: delivered as its job.json, in place of the job document that it holds.

    Returns:
        The id under which the result will appear: what the document declares, else NAME.

    Raises:
        UndeliverableJob: a bad name, or one that is waiting in the inbox or being delivered just now.
        UnsafeFile: the source is too large or holds something else than files and folders.
        SpoolMissing: the spool is not mounted.
        OSError: nothing is left behind.
    """
    spool.require()
    _check_names(source, name, owner)
    folder = spool.inbox if owner is None else spool.inbox / owner
    if owner is not None:
        _make_owner_folder(folder)
    reservation = folder / f".{job_name(name)}.tmp"
    try:
        _write(source, reservation, document)
    except FileExistsError as error:
        raise UndeliverableJob(
            f"{name} is being delivered by somebody else just now: expected {reservation} not to exist. "
            "Choose another name; if no client runs, one has died there: remove it and try again"
        ) from error
    return _hand_over(reservation, folder / name)


def _check_names(source: Path | bytes, name: str, owner: str | None) -> None:
    is_folder = isinstance(source, Path) and source.is_dir()
    endings = (JOB_FOLDER_SUFFIX,) if is_folder else MANIFEST_SUFFIXES
    if job_name(name) is None or not name.endswith(endings):
        raise UndeliverableJob(
            f"{name!r} cannot be the name of a job: expected NAME and {' or '.join(endings)}, "
            "NAME of up to 128 of the characters A-Z a-z 0-9 . _ -, beginning with a letter or digit"
        )
    if owner is not None and not is_owner(owner):
        raise UndeliverableJob(
            f"{owner!r} cannot be the name of an owner: expected up to 128 of the characters "
            "A-Z a-z 0-9 . _ -, beginning with a letter or digit, without the ending of a job"
        )


def _make_owner_folder(folder: Path) -> None:
    if make_folder(folder):
        _open_for_group(folder)


def _write(source: Path | bytes, reservation: Path, document: bytes | None) -> None:
    """Make the temporary copy. FileExistsError, with nothing touched, when another delivery has the name."""
    if isinstance(source, Path) and source.is_dir():
        reservation.mkdir()
        try:
            _copy_folder(source, reservation, leave=() if document is None else JOB_DOCUMENTS)
            if document is not None:
                create_durably(reservation / "job.json", document, mode=_FILE_MODE)
                fsync_folder(reservation)
        except BaseException:
            remove(reservation)
            raise
        return
    data = source if isinstance(source, bytes) else _read_manifest(source)
    if len(data) > MANIFEST_LIMIT_BYTES:
        raise UnsafeFile(
            f"the manifest is too large: expected at most {MANIFEST_LIMIT_BYTES} bytes. "
            "Put large data into files beside job.yaml in a folder NAME.job"
        )
    create_durably(reservation, data, mode=_FILE_MODE)


def _hand_over(reservation: Path, target: Path) -> str:
    try:
        # Looked up before the rename: afterwards the daemon may have taken it.
        job_id = intended_id(reservation, name=target.name, limit_bytes=MANIFEST_LIMIT_BYTES)
        rename_once(reservation, target)
    except FileExistsError as error:
        raise UndeliverableJob(
            f"{target.name} is waiting in the inbox already: expected no {target}. Choose another name, "
            "or wait until the daemon has taken that one"
        ) from error
    finally:
        remove(reservation)
    fsync_folder(target.parent)
    if job_id is None:
        raise AssertionError("a checked name is an id")
    return job_id


def _read_manifest(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MANIFEST_LIMIT_BYTES + 1)


def _copy_folder(source: Path, target: Path, *, leave: Collection[str] = ()) -> None:
    _open_for_group(target)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__pycache__" or entry.name in leave:
                continue
            copy = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                copy.mkdir()
                _copy_folder(Path(entry.path), copy)
            else:
                _copy_file(Path(entry.path), copy)
    fsync_folder(target)


def _copy_file(source: Path, target: Path) -> None:
    with os.fdopen(open_regular(source), "rb", buffering=0) as original:
        size = os.fstat(original.fileno()).st_size
        if size > SIDE_FILE_LIMIT_BYTES:
            raise UnsafeFile(
                f"{source} is too large: expected at most {SIDE_FILE_LIMIT_BYTES} bytes, found {size}"
            )
        with target.open("xb") as copy:
            shutil.copyfileobj(original, copy, _COPY_CHUNK_BYTES)
            copy.flush()
            os.fchmod(copy.fileno(), _FILE_MODE)
            os.fsync(copy.fileno())


def _open_for_group(folder: Path) -> None:
    """Add permissions to a folder of ours; the set-group-id bit of a shared inbox stays."""
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | _FOLDER_MODE)
