"""The section of `kbd show` that draws the timing samples."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kbd.daemon.cli.page_line import Line, Lines, indented, row
from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.samples_plot import drawable, legend, plot

if TYPE_CHECKING:
    from kbd.outbox.result import JobResult

MOST_PLOTS: Final = 4
_MARGIN: Final = "  "


def samples_section(columns: int) -> Callable[["JobResult"], Lines]:
    """A plot of each workload, on a page of this width."""

    def section(result: "JobResult") -> Lines:
        timed = [
            (workload, drawable(workload.performance))
            for workload in result.workloads
            if workload.performance
        ]
        found = [(workload.name, series) for workload, series in timed if series]
        for name, series in found[:MOST_PLOTS]:
            if len(result.workloads) > 1:
                yield indented(f"workload {one_line(name)}", style="bold")
            yield Line(Text("  samples".ljust(14), style="dim"), legend(series))
            yield from (Line(Text(_MARGIN), line) for line in plot(series, columns - len(_MARGIN)))
        if len(found) > MOST_PLOTS:
            yield row(
                "", f"{len(found) - MOST_PLOTS} more workloads are not drawn; see: kbd report", style="dim"
            )

    return section
