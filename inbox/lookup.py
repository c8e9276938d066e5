"""One delivery in the inbox, by the id that its file name gives it, whether it is ready to be claimed or not."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kbd.inbox.names import JOB_FOLDER_SUFFIX, MANIFEST_SUFFIXES, is_ignored, is_owner
from kbd.inbox.scanner import Delivery
from kbd.inbox.spool import Spool


def delivery_named(spool: Spool, job_id: str) -> Delivery | None:
    """The delivery called NAME.yaml, NAME.yml, NAME.json or NAME.job, at the top or in an owner's folder.

    A job whose document gives it another id than its file name is not found. Raises OSError.
    """
    for owner, folder in _folders(spool.inbox):
        for suffix in (*MANIFEST_SUFFIXES, JOB_FOLDER_SUFFIX):
            path = folder / f"{job_id}{suffix}"
            if _is_delivery(path, suffix):
                return Delivery(path, path.name, owner, complete=True)
    return None


def _folders(inbox: Path) -> Iterator[tuple[str | None, Path]]:
    yield None, inbox
    with os.scandir(inbox) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and is_owner(entry.name) and not is_ignored(entry.name):
                yield entry.name, Path(entry.path)


def _is_delivery(path: Path, suffix: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(mode) if suffix == JOB_FOLDER_SUFFIX else stat.S_ISREG(mode)
