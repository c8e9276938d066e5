"""Delivering a job under another id: its document says the new one, everything else stays as its user wrote it."""

import json
import os
from pathlib import Path
from typing import Final

from kbd.inbox.delivery import deliver
from kbd.inbox.names import JOB_DOCUMENTS, JOB_FOLDER_SUFFIX
from kbd.inbox.safe_load import load_document, open_folder, read_bounded
from kbd.inbox.spool import Spool

DOCUMENT_LIMIT_BYTES: Final = 1 << 20


def deliver_as(
    path: Path, spool: Spool, new_id: str, owner: str | None = None, *, name: str | None = None
) -> str:
    """Deliver the job at `path` under `new_id`; `name` is what it was called, if it lies under another name now.

    Raises what `deliver` does, InvalidJob where its document cannot be read, and FileNotFoundError where its files
    are gone.
    """
    name = name or path.name
    if name.endswith(JOB_FOLDER_SUFFIX):
        require_folder(path)
        documents = (renamed(path / each, new_id) for each in JOB_DOCUMENTS if (path / each).exists())
        document = next(documents, None)  # a job has one at most
        return deliver(path, spool, f"{new_id}{JOB_FOLDER_SUFFIX}", owner, document=document)
    suffix = Path(name).suffix
    document = renamed(path, new_id, suffix)
    data = document or read_bounded(path, DOCUMENT_LIMIT_BYTES)
    return deliver(data, spool, f"{new_id}{'.json' if document else suffix}", owner)


def renamed(path: Path, new_id: str, suffix: str | None = None) -> bytes | None:
    """A document that declares an id, as JSON with another; None: it declares none, its name is its id."""
    document = load_document(read_bounded(path, DOCUMENT_LIMIT_BYTES), suffix or path.suffix).value
    if not isinstance(document, dict) or "id" not in document:
        return None
    return json.dumps(document | {"id": new_id}).encode()


def require_folder(path: Path) -> None:
    """Raise FileNotFoundError where a job's folder is gone, UnsafeFile where something else has its name."""
    try:
        os.close(open_folder(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"expected its files in {path}, they are gone") from None
