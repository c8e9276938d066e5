"""The quarantine for people: a list, and one entry with all its reasons. Every text is a stranger's."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kbd.daemon.cli.painting import Painter, Words, cut, is_terminal, width
from kbd.daemon.cli.plain_columns import plain_columns
from kbd.daemon.cli.printable import one_line, printable
from kbd.daemon.cli.wording import ago, size

if TYPE_CHECKING:
    from kbd.inbox.quarantine_contents import Quarantinee

SCHEMA_VERSION: Final = 1
COLUMNS: Final = ("name", "reason", "owner", "size", "since", "said")
NAME_COLUMNS: Final = 28
"""A longer name has a line to itself: it is whole, since it is what other commands want to be told."""
SAID_LINES: Final = 3


def quarantine_document(found: "Sequence[Quarantinee]") -> dict[str, Any]:
    """For programs; the texts as they are, escaped by JSON alone."""
    return {"schema_version": SCHEMA_VERSION, "quarantine": [asdict(each) for each in found]}


def print_quarantine(found: "Sequence[Quarantinee]") -> None:
    """A list on a terminal, else aligned columns with nothing cut."""
    if is_terminal():
        lines = list(terminal_lines(found, Painter.of_stdout()))
    else:
        lines = plain_columns(COLUMNS, [_cells(each) for each in found])
    for line in lines:
        print(line)


def terminal_lines(found: "Sequence[Quarantinee]", painter: Painter) -> Iterator[str]:
    """The names on the left, and right of each what it is and what is wrong with it; then what can be done."""
    longest = max(width(one_line(each.name)) for each in found)
    room = min(NAME_COLUMNS, painter.columns // 3, longest) + 2
    for each in found:
        name = one_line(each.name)
        if width(name) + 2 > room:
            yield painter.paint(name, "bold")
            name = ""
        facts = [each.owner, size(each.nbytes), each.since and ago(each.since)]
        rest = "".join(f" · {one_line(fact)}" for fact in facts if fact)
        yield painter.fold([(name.ljust(room), "bold"), (one_line(each.code), "yellow"), (rest, "dim")], room)
        said = cut(_gist(each), SAID_LINES * (painter.columns - room))
        yield painter.fold([(" " * room, ""), (said, "")], room)
    yield ""
    hint: Words = [("All that is said of one, and what to do: kbd quarantine show NAME", "dim")]
    yield painter.fold(hint, 0)


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


def _cells(found: "Quarantinee") -> tuple[str, ...]:
    said = str(found.problems[0]) if found.problems else found.message
    cells = (found.name, found.code, found.owner or "-", size(found.nbytes), found.since or "-", said)
    return tuple(map(one_line, cells))


def _gist(found: "Quarantinee") -> str:
    """What is wrong and what to do about it, in brief: `kbd quarantine show` has the rest."""
    if not found.problems:
        return one_line(found.message.removeprefix(f"{found.original}: ")) or "no reason can be read"
    first, *others = found.problems
    brief = replace(first, expected=None, found=None) if first.hint else first
    said = one_line(str(brief)).removeprefix("the document: ")
    return f"{said} (and {len(others)} more)" if others else said
