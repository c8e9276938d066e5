"""The quarantine for people: a table, and one entry with all its reasons. Every text is a stranger's."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kbd.daemon.cli.plain_columns import plain_columns
from kbd.daemon.cli.printable import one_line, printable
from kbd.daemon.cli.terminal import ruled_table
from kbd.daemon.cli.wording import ago, size

if TYPE_CHECKING:
    from rich.console import Console

    from kbd.inbox.quarantine_contents import Quarantinee

SCHEMA_VERSION: Final = 1
COLUMNS: Final = ("name", "reason", "owner", "size", "since", "said")


def quarantine_document(found: "Sequence[Quarantinee]") -> dict[str, Any]:
    """For programs; the texts as they are, escaped by JSON alone."""
    return {"schema_version": SCHEMA_VERSION, "quarantine": [asdict(each) for each in found]}


def print_quarantine(found: "Sequence[Quarantinee]", console: "Console") -> None:
    """A table on a terminal, else aligned columns with nothing cut."""
    if not console.is_terminal:
        for line in plain_columns(COLUMNS, [_cells(each, each.since or "-") for each in found]):
            console.print(line, soft_wrap=True)
        return
    from rich.text import Text

    table = ruled_table()
    for name in COLUMNS[:-1]:
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=32)
    table.add_column(COLUMNS[-1], overflow="ellipsis", style="dim")
    for row in (_cells(each, ago(each.since)) for each in found):
        *first, said = (Text(cell, no_wrap=True, overflow="ellipsis") for cell in row)
        table.add_row(*first, said)
    console.print(table)


def entry_lines(found: "Quarantinee", path: Path) -> list[str]:
    """Everything about one, and what can be done."""
    facts = {
        "reason": found.code,
        "lies in": str(path),
        "is a": f"{found.kind}, {size(found.nbytes)}",
        "was": found.original,
        "owner": found.owner or "-",
        "job id": found.job_id or "-",
        "since": found.since or "-",
    }
    lines = [f"{name:<9} {one_line(text)}" for name, text in facts.items()]
    reasons = [f"  {printable(str(problem))}" for problem in found.problems]
    lines += ["", *(reasons or [f"  {printable(found.message or 'no reason can be read')}"])]
    name = one_line(found.name)
    return [
        *lines,
        "",
        f"mend it where it lies, then: kbd quarantine release {name} [--id NEW]",
        f"or throw it away:           kbd quarantine rm {name}",
    ]


def _cells(found: "Quarantinee", since: str) -> tuple[str, ...]:
    said = str(found.problems[0]) if found.problems else found.message
    return tuple(
        one_line(cell)
        for cell in (found.name, found.code, found.owner or "-", size(found.nbytes), since, said)
    )
