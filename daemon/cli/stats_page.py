"""`kbd stats` for people: counts with bars, ends by hour, quantiles of times."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kbd.daemon.cli import wording
from kbd.daemon.cli.page_line import Line, Lines, indented, print_line
from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.stats_report import NO_VALUE

if TYPE_CHECKING:
    from rich.console import Console

    from kbd.daemon.cli.stats_report import StatsReport

BAR_COLUMNS: Final = 24
ROWS_A_KIND: Final = 12
NAME_COLUMNS: Final = 28
DAY_S: Final = 86_400
RATED_S: Final = 60

_TITLES: Final = {
    "status": ("by verdict", "none yet"),
    "blame": ("by blame", "nobody"),
    "kernel_type": ("by kernel type", "unknown"),
    "device": ("by device", "none yet"),
    "owner": ("by owner", "none (top of the inbox)"),
}
"""What stands above each kind, and what is said of jobs that have no such value."""
_TOLD_IF_ANY: Final = frozenset({"blame", "owner"})
"""Left out where no job has such a value."""


def print_stats(report: "StatsReport", console: "Console") -> None:
    """Print every section, a blank line between two."""
    if not report.jobs:
        console.print("No jobs yet." if report.since is None else "No jobs in this time.")
        return
    for number, section in enumerate(SECTIONS):
        lines = list(section(report))
        if lines and number:
            console.print()
        for line in lines:
            print_line(line, console)


def _headline(report: "StatsReport") -> Lines:
    said = Text(wording.counted(report.jobs, "job"), style="bold")
    said.append(f", {report.ended} ended", style="not bold")
    if report.per_hour is not None and report.span_s is not None:
        # A rate by the hour of what took seconds says nothing.
        over = f": {_rate(report.per_hour)} over" if report.span_s >= RATED_S else " in"
        said.append(f"{over} {_span(report.span_s)} (first arrival to latest end)", style="not bold")
    yield Line(Text(), said)


def _counts(report: "StatsReport") -> Lines:
    kinds = [kind for kind in _TITLES if kind not in _TOLD_IF_ANY or set(report.counts[kind]) - {NO_VALUE}]
    for number, kind in enumerate(kinds):
        title, nothing = _TITLES[kind]
        values = report.counts[kind]
        if number:
            yield indented("")
        yield Line(Text(), Text(f"{title}{_some(report) if kind == 'kernel_type' else ''}", style="bold"))
        most = max(values.values(), default=0)
        for name, jobs in list(values.items())[:ROWS_A_KIND]:
            shown = nothing if name == NO_VALUE else one_line(name)
            colour = wording.mark_of(name)[1] if kind == "status" and name != NO_VALUE else "cyan"
            yield _bar(wording.words(shown) if kind == "status" else shown, jobs, most, colour)
        if len(values) > ROWS_A_KIND:
            yield indented(f"and {len(values) - ROWS_A_KIND} more; for all use --json", style="dim")


def _hours(report: "StatsReport") -> Lines:
    if len(report.by_hour) < 2:
        return
    yield Line(Text(), Text("ended by hour", style="bold"))
    most = max(report.by_hour.values())
    for start, ended in report.by_hour.items():
        yield _bar(time.strftime("%Y-%m-%d %H:%M", time.localtime(start)), ended, most, "cyan")


def _times(report: "StatsReport") -> Lines:
    if not report.times_s:
        return
    yield Line(Text(), Text(f"time by stage{_some(report)}", style="bold"))
    heads = ("", "jobs", "median", "p90", "p99", "max")
    yield indented(_cells(heads), style="dim")
    for stage, found in report.times_s.items():
        cells = [wording.seconds(value) for value in (found.p50, found.p90, found.p99, found.max)]
        name = "all but queued" if stage == "total" else wording.words(stage)
        yield indented(_cells((name, str(found.jobs), *cells)), style="bold" if stage == "total" else "")


SECTIONS: Final[tuple[Callable[["StatsReport"], Iterator[Line]], ...]] = (_headline, _counts, _hours, _times)


def _some(report: "StatsReport") -> str:
    return f", the latest {wording.counted(report.examined, 'job')}" if report.examined < report.jobs else ""


def _bar(name: str, jobs: int, most: int, colour: str) -> Line:
    said = Text(f"{name:<{NAME_COLUMNS}} {jobs:>8}  ")
    said.append("━" * max(round(BAR_COLUMNS * jobs / most), 1 if jobs else 0) if most else "", style=colour)
    said.rstrip()
    return Line(Text("  "), said)


def _cells(cells: tuple[str, ...]) -> str:
    first, *others = cells
    return f"{first:<16}" + "".join(f"{cell:>10}" for cell in others)


def _rate(per_hour: float) -> str:
    if per_hour < 1:
        return f"{24 * per_hour:.1f} a day"
    return f"{per_hour:,.0f} an hour" if per_hour >= 10 else f"{per_hour:.1f} an hour"


def _span(span_s: float) -> str:
    return wording.seconds(span_s) if span_s < 2 * DAY_S else f"{span_s / DAY_S:.1f} d"
