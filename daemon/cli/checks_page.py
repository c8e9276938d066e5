"""Checks of `kbd doctor` as lines for people, each as soon as it is known, and as a document for programs."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click

from kbd.daemon.cli.printable import one_line
from kbd.daemon.doctor.check import Check, State

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SCHEMA_VERSION: Final = 1
NAME_WIDTH: Final = 16
ARROW: Final = "→"
_MARKS: Final = {State.OK: ("✓", "green"), State.WARN: ("!", "bold yellow"), State.FAIL: ("✗", "bold red")}


def print_as_text(checks: Iterable[Check], console: "Console") -> State:
    """A line for each, its cure beneath; then how many there are. Returns the worst state."""
    counts = dict.fromkeys(State, 0)
    for check in checks:
        counts[check.state] += 1
        _print(check, console)
    console.print(_summary(counts))
    return max(
        (state for state, count in counts.items() if count), key=lambda state: state.rank, default=State.OK
    )


def print_as_json(checks: Iterable[Check]) -> State:
    """All on stdout. Returns the worst state."""
    found = list(checks)
    worst = max((check.state for check in found), key=lambda state: state.rank, default=State.OK)
    document = {
        "schema_version": SCHEMA_VERSION,
        "state": worst,
        "checks": [check.as_document() for check in found],
    }
    click.echo(json.dumps(document, indent=2))
    return worst


def _print(check: Check, console: "Console") -> None:
    if console.is_terminal:
        _print_grid(check, console)
        return
    console.print(f"{check.state:<5} {check.name:<{NAME_WIDTH}} {one_line(check.finding)}", soft_wrap=True)
    if check.cure is not None:
        console.print(f"{'':<{NAME_WIDTH + 6}} {ARROW} {one_line(check.cure)}", soft_wrap=True)


def _print_grid(check: Check, console: "Console") -> None:
    """What is well steps back; a cure that takes several lines stays right of its arrow."""
    from rich.table import Table
    from rich.text import Text

    mark, colour = _MARKS[check.state]
    well = check.cure is None
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=NAME_WIDTH)
    grid.add_column(overflow="fold")
    said = Text(one_line(check.finding), style="dim" if well else "")
    grid.add_row(Text(mark, style=colour), Text(check.name, style="" if well else colour), said)
    if check.cure is not None:
        cure = Table.grid(padding=(0, 1))
        cure.add_row(Text(ARROW, style="bold"), Text(one_line(check.cure), style="bold"))
        grid.add_row("", "", cure)
    console.print(grid)


def _summary(counts: dict[State, int]) -> "Text":
    from rich.text import Text

    parts = [(f"{count} {state}", _MARKS[state][1] if count else "dim") for state, count in counts.items()]
    return Text("\n") + Text(", ").join(Text(*part) for part in parts)
