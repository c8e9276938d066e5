"""Lines of a page that fold well: a lead on the left, and text that stays right of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.table import Table
from rich.text import Text

from kbd.daemon.cli.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

LABEL_COLUMNS: Final = 14
LOG_LINES: Final = 40


class Line(NamedTuple):
    """One line of the page; where it is too long for a terminal, what follows stays right of `lead`."""

    lead: Text
    said: Text


Lines = Iterator[Line]


def print_line(line: Line, console: "Console") -> None:
    """Folded on a terminal; in one piece for files and programs."""
    if not console.is_terminal:
        for number, said in enumerate(line.said.split(allow_blank=True)):
            # Indented too: a user's second line must not pass for one of the page's own.
            whole = (Text(" " * line.lead.cell_len) if number else line.lead) + said
            whole.rstrip()
            console.print(whole, soft_wrap=True)
        return
    if not line.lead:
        console.print(line.said)
        return
    grid = Table.grid()
    grid.add_column(width=line.lead.cell_len, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(line.lead, line.said)
    console.print(grid)


def row(label: str, said: str, *, style: str = "") -> Line:
    """A line that begins with what it is about."""
    return Line(Text(f"  {label}".ljust(LABEL_COLUMNS), style="dim"), Text(said, style=style))


def indented(said: str, *, style: str = "") -> Line:
    """A line of the page's body."""
    return Line(Text("  "), Text(said, style=style))


def quoted(text: str) -> Iterator[Line]:
    """The last lines of a user's text behind a bar; the whole of it is in the result file."""
    lines = printable(text).rstrip("\n").split("\n")
    bar = Text("  │ ", style="dim")
    if len(lines) > LOG_LINES:
        yield Line(bar, Text(f"… {len(lines) - LOG_LINES} lines before; for all use --json", style="dim"))
    for line in lines[-LOG_LINES:]:
        yield Line(bar, Text(line.expandtabs()))
