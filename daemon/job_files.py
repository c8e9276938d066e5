"""The files beside the manifest of a claimed job, which the judge reads where they lie."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from kbd.inbox.names import JOB_FOLDER_SUFFIX
from kbd.store.rows import JobRow


def folder_of(spool_root: Path, row: JobRow) -> str | None:
    """Where they lie, for a job that is a folder."""
    if row.claimed_path is None or not row.claimed_path.endswith(JOB_FOLDER_SUFFIX):
        return None
    return str(spool_root / row.claimed_path)


def require_files(spool_root: Path, row: JobRow) -> None:
    """Raise FileNotFoundError where the folder is gone: the judge would take that for the job's own fault."""
    folder = folder_of(spool_root, row)
    if folder is None:
        return
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except FileNotFoundError:
        message = (
            "the files of this job are gone; if somebody has deleted them, deliver it again under a new id"
        )
        raise FileNotFoundError(errno.ENOENT, message, folder) from None
