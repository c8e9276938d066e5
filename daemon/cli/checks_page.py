"""Checks of `kbd doctor` as lines for people, each as soon as it is known, and as a document for programs."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click

from kbd.daemon.cli.printable import one_line
from kbd.daemon.doctor.check import Check, State

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION: Final = 1
NAME_WIDTH: Final = 16
_COLOURS: Final = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


def print_as_text(checks: Iterable[Check], console: "Console") -> State:
    """A line for each, its cure beneath; then how many there are. Returns the worst state."""
    counts = dict.fromkeys(State, 0)
    for check in checks:
        counts[check.state] += 1
        _print(check, console)
    console.print("\n" + ", ".join(f"{count} {state}" for state, count in counts.items()))
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
    from rich.table import Table
    from rich.text import Text

    said = Text(one_line(check.finding))
    if check.cure is not None:
        said.append(f"\n→ {one_line(check.cure)}", style="bold")
    if not console.is_terminal:
        lines = said.plain.split("\n")
        console.print(f"{check.state:<5} {check.name:<{NAME_WIDTH}} {lines[0]}", soft_wrap=True)
        for line in lines[1:]:
            console.print(f"{'':<{NAME_WIDTH + 6}} {line}", soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=4)
    grid.add_column(width=NAME_WIDTH)
    grid.add_column(overflow="fold")
    grid.add_row(Text(check.state, style=_COLOURS[check.state]), Text(check.name), said)
    console.print(grid)
