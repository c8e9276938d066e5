"""The snapshot `status.json` of a spool, as a host reads it that sees nothing else of the daemon.

Another version or another program may have written it, so everything in it is optional.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from kbd.inbox.errors import InboxError
from kbd.inbox.spool import Spool

SNAPSHOT_LIMIT_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class SpoolSnapshot:
    """What a daemon last said about itself. `text` is the whole file: it changes as long as one is alive.

    `paused`: all that keeps jobs waiting, in words; `is_paused`: whether a pause of somebody's is among it.
    """

    text: str
    daemon: dict[str, Any] = field(default_factory=dict)
    queue: dict[str, int] = field(default_factory=dict)
    devices: tuple[dict[str, Any], ...] = ()
    running: tuple[dict[str, Any], ...] = ()
    paused: str | None = None
    is_paused: bool = False
    ending: dict[str, Any] | None = None


def read_snapshot(spool: Spool) -> SpoolSnapshot | None:
    """The snapshot as it is now; None when there is none, or nothing that could be one."""
    text = _text(spool)
    document = _document(text)
    return None if document is None else _snapshot(text, document)


def read_document(spool: Spool) -> dict[str, Any]:
    """All that it says, as it stands there; empty when there is none."""
    return _document(_text(spool)) or {}


def _text(spool: Spool) -> str:
    from kbd.inbox.safe_load import read_bounded

    try:
        return read_bounded(spool.status_file, SNAPSHOT_LIMIT_BYTES).decode()
    except (OSError, InboxError, ValueError):
        return ""


def _document(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _snapshot(text: str, document: dict[str, Any]) -> SpoolSnapshot:
    daemon, queue, paused = document.get("daemon"), document.get("queue"), document.get("paused")
    ending = document.get("ending")
    return SpoolSnapshot(
        text=text,
        daemon=daemon if isinstance(daemon, dict) else {},
        queue=_counts(queue),
        devices=_mappings(document.get("devices")),
        running=_mappings(document.get("running")),
        paused=paused if isinstance(paused, str) else None,
        is_paused=isinstance(document.get("pause"), dict),
        ending=ending if isinstance(ending, dict) else None,
    )


def _counts(value: object) -> dict[str, int]:
    entries = value.items() if isinstance(value, dict) else ()
    return {str(name): count for name, count in entries if isinstance(count, int)}


def _mappings(value: object) -> tuple[dict[str, Any], ...]:
    return tuple(entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else ()
