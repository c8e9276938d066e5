"""What `kbd doctor --rebuild` found and did, for people and for programs."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.wording import counted

if TYPE_CHECKING:
    from kbd.daemon.doctor.rebuilding import Rebuilt

SCHEMA_VERSION: Final = 1
SHOWN_UNREAD: Final = 10


def as_document(rebuilt: "Rebuilt") -> str:
    """Everything."""
    found = asdict(rebuilt) | {"unread": [unread._asdict() for unread in rebuilt.unread]}
    return json.dumps({"schema_version": SCHEMA_VERSION, **found}, indent=2, default=str)


def as_text(rebuilt: "Rebuilt") -> str:
    """A line for each fact."""
    return "\n".join(_lines(rebuilt))


def _lines(rebuilt: "Rebuilt") -> Iterator[str]:
    if rebuilt.aside is not None:
        yield f"set aside  {one_line(f'{rebuilt.aside}, because {rebuilt.why_aside}')}"
    known = f", {rebuilt.known} were known" if rebuilt.known else ""
    yield f"restored   {counted(rebuilt.restored, 'job')} with a result{known}"
    if rebuilt.owner is None:
        yield f"queued     {counted(rebuilt.queued, 'job')} that had been claimed"
    else:
        yield f"left       what is claimed: {rebuilt.owner} owns the spool"
    if rebuilt.unread:
        yield f"unread     {counted(len(rebuilt.unread), 'file')}, which tell nothing:"
    for unread in rebuilt.unread[:SHOWN_UNREAD]:
        yield f"           {one_line(f'{unread.path}: {unread.reason}')}"
    if len(rebuilt.unread) > SHOWN_UNREAD:
        yield f"           and {len(rebuilt.unread) - SHOWN_UNREAD} more (--json has all)"
