"""What a demonstration looks like: a table that fills up on a terminal, lines elsewhere."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from kbd.daemon.cli.demo_run import DemoStanding
from kbd.daemon.cli.page_line import Line
from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.terminal import ruled_table
from kbd.daemon.cli.wording import mark_of, mark_of_state, speedup, words
from kbd.store.states import FINAL, JobState

if TYPE_CHECKING:
    from rich.console import Console

Standings = tuple[DemoStanding, ...]


def show_progress(rounds: Iterable[Standings], console: "Console") -> Standings:
    """Show every round as it comes; the last one is returned, and on a terminal its table stays."""
    return _show_table(rounds, console) if console.is_terminal else _show_lines(rounds, console)


def _show_table(rounds: Iterable[Standings], console: "Console") -> Standings:
    standings: Standings = ()
    with Live(console=console, refresh_per_second=10) as live:
        for standings in rounds:
            live.update(demo_table(standings))
    return standings


def _show_lines(rounds: Iterable[Standings], console: "Console") -> Standings:
    """One line whenever a job has moved on, then the table."""
    standings: Standings = ()
    started = time.monotonic()
    shown: dict[str, str] = {}
    for standings in rounds:
        for standing in standings:
            if standing.result is None and standing.state in FINAL:
                continue  # the verdict follows at once
            now = _news(standing)
            if shown.get(standing.job.name) != now:
                shown[standing.job.name] = now
                console.print(
                    f"{time.monotonic() - started:5.1f} s  {standing.job.name:<7} {now}", soft_wrap=True
                )
    console.print(demo_table(standings))
    return standings


def _news(standing: DemoStanding) -> str:
    return words(standing.result.status) if standing.result is not None else _state(standing)


def _state(standing: DemoStanding) -> str:
    return standing.state.value if standing.state is not None else "in the inbox"


def demo_table(standings: Standings) -> Table:
    """The five jobs, what their candidates do, and what was found out about them so far."""
    table = ruled_table()
    table.add_column("job", no_wrap=True)
    table.add_column("candidate", style="dim")
    table.add_column("verdict", no_wrap=True, min_width=18)
    table.add_column("speed-up", no_wrap=True, justify="right")
    table.add_column("95% interval", no_wrap=True, style="dim", min_width=14)
    for standing in standings:
        table.add_row(standing.job.name, standing.job.candidate, *_cells(standing))
    return table


def _cells(standing: DemoStanding) -> tuple[Text, str, str]:
    """The verdict or, until there is one, the state; the speed-up; its interval."""
    result = standing.result
    if result is None:
        mark, colour = mark_of_state(standing.state or JobState.SUBMITTED)
        return Text(f"{mark} {_state(standing)}", style=colour), "", ""
    mark, colour = mark_of(result.status)
    verdict = Text(f"{mark} {words(result.status)}", style=f"bold {colour}")
    interval = " to ".join(map(speedup, result.speedup_ci95 or ()))
    return verdict, speedup(result.speedup) if result.speedup else "", interval


def reasons(standings: Standings) -> Iterator[Line]:
    """What was wrong with each job that did not pass, or passed and was slow."""
    for standing in standings:
        if standing.job.is_faster and standing.result is not None and (standing.result.speedup or 1.0) < 1.0:
            said = Text("slower this time: something else takes up this host's processors", style="dim")
            yield Line(Text(f"{standing.job.name:<6}  "), said)
        if standing.result is not None and standing.result.error is not None:
            said = Text(one_line(standing.result.error.message), style="dim")
            yield Line(Text(f"{standing.job.name:<6}  "), said)
