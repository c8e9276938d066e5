"""Publishing: a result appears in the outbox whole, once, and is never replaced.

The link into the outbox is the commit point for users. Doing it again after a crash is harmless: the same
text is found there and taken for published.
"""

import errno
from dataclasses import dataclass
from pathlib import Path

from kbd.inbox.durable import fsync_folder, write_durably
from kbd.inbox.errors import UnsafeFile
from kbd.inbox.result_files import RESULT_LIMIT_BYTES, published_path, read_published
from kbd.inbox.safe_load import read_bounded
from kbd.inbox.spool import Spool
from kbd.outbox.errors import PublishConflict, UnreadableResult
from kbd.outbox.result import JobResult


@dataclass(frozen=True, slots=True)
class Publication:
    """Where a result lies, and whether this call found it there already."""

    path: Path
    already: bool


def publish(spool: Spool, job_id: str, text: str) -> Publication:
    """Put a result's text into the outbox, durably.

    Raises:
        PublishConflict: the outbox holds another text for this job; it was not touched.
        OSError: the outbox cannot be written; nothing was published, try again later.
    """
    path = published_path(spool, job_id)
    content = text.encode()
    try:
        write_durably(path, content, tmp_folder=spool.outbox_tmp, overwrite=False)
    except FileExistsError:
        _require_same(path, content)
        # Whoever linked it may have died before this.
        fsync_folder(spool.outbox)
        return Publication(path, already=True)
    return Publication(path, already=False)


def read_result(spool: Spool, job_id: str) -> JobResult | None:
    """The published result of a job, or None while there is none.

    Raises:
        UnreadableResult: the file is there, and it is no result this version can read. The text names it.
        UnsafeFile: something else than a regular file of sensible size lies there.
    """
    content = read_published(spool, job_id)
    try:
        return None if content is None else JobResult.from_json(content)
    except UnreadableResult as error:
        raise UnreadableResult(f"{published_path(spool, job_id)}: {error}") from error


def published_text(spool: Spool, job_id: str) -> str | None:
    """What is published for a job, byte for byte; None where there is nothing that could be a result."""
    try:
        return read_bounded(published_path(spool, job_id), RESULT_LIMIT_BYTES).decode()
    except (FileNotFoundError, UnsafeFile, UnicodeDecodeError):
        return None


def _require_same(path: Path, content: bytes) -> None:
    try:
        found: bytes | None = read_bounded(path, RESULT_LIMIT_BYTES)
    except UnsafeFile:
        found = None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        found = None
    if found != content:
        raise PublishConflict(
            f"expected no result at {path}, or the same one; found a different one, which stays. "
            "The first result of a job id is final: submit the job under another id."
        )
