"""Which id a delivery means to have, found without judging the rest of it.

Clients need it to wait for a result; intake needs it to publish `rejected` where the client waits.
"""

from pathlib import Path

from kbd.inbox.errors import InboxError
from kbd.inbox.names import JOB_DOCUMENTS, MANIFEST_SUFFIXES, NAME_PATTERN, job_name
from kbd.inbox.safe_load import load_document, read_bounded


def intended_id(path: Path, *, limit_bytes: int, name: str | None = None) -> str | None:
    """The id that the manifest or job folder at `path` declares; else the one of its name.

    Args:
        path: what to look into.
        limit_bytes: how much of a document is read at most.
        name: what it is, or will be, called; default: as `path` says.

    Returns:
        None when neither is an id. Never raises for what the document may hold.
    """
    name = name or path.name
    is_manifest = name.endswith(MANIFEST_SUFFIXES)
    for document in [path] if is_manifest else [path / part for part in JOB_DOCUMENTS]:
        try:
            data = read_bounded(document, limit_bytes)
        except (InboxError, OSError):
            continue
        suffix = Path(name).suffix if is_manifest else document.suffix
        return declared_id(data, suffix) or job_name(name)
    return job_name(name)


def declared_id(data: bytes, suffix: str) -> str | None:
    """The `id` that a document declares; None when it cannot be read, has none, or has one that is no id."""
    try:
        document = load_document(data, suffix).value
    except InboxError:
        return None
    declared = document.get("id") if isinstance(document, dict) else None
    return declared if isinstance(declared, str) and NAME_PATTERN.fullmatch(declared) else None
