"""Two results side by side, for people."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kbd.daemon.cli import wording
from kbd.daemon.cli.comparison import times_of
from kbd.daemon.cli.page_line import Line, indented, print_line
from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.provenance import ANOTHER, OWN, UNKNOWN_REFERENCE

if TYPE_CHECKING:
    from rich.console import Console

    from kbd.daemon.cli.comparison import Comparison
    from kbd.daemon.cli.provenance import Difference
    from kbd.outbox.intervals import Ratio
    from kbd.outbox.performance import Performance
    from kbd.outbox.result import JobResult

Row = tuple[Text, Text, Text]


def print_comparison(comparison: "Comparison", console: "Console") -> None:
    """The table, the conclusion, then what speaks against it."""
    rows = list(_rows(comparison))
    if console.is_terminal:
        console.print(_table(rows))
    else:
        widths = [max(row[column].cell_len for row in rows) for column in range(3)]
        for row in rows:
            cells = (
                cell.plain + " " * (width - cell.cell_len) for cell, width in zip(row, widths, strict=True)
            )
            console.print("  ".join(cells).rstrip(), soft_wrap=True)
    console.print()
    for line in (*_conclusion(comparison), *_differences(comparison)):
        print_line(line, console)


def _rows(comparison: "Comparison") -> Iterator[Row]:
    a, b = comparison.a, comparison.b
    yield Text(""), Text(one_line(a.job_id), style="bold"), Text(one_line(b.job_id), style="bold")
    yield Text("verdict", style="dim"), _verdict(a), _verdict(b)
    if a.speedup is not None or b.speedup is not None:
        yield Text("speed-up", style="dim"), _speedup(a), _speedup(b)
    for workload in comparison.workloads:
        if len(comparison.workloads) > 1:
            yield Text(one_line(workload.name), style="bold"), Text(), Text()
        for role in ("candidate", "reference"):
            times = _time(workload.a, role), _time(workload.b, role)
            if any(times):
                yield Text(role, style="dim"), Text(times[0]), Text(times[1])
        if len(comparison.workloads) > 1 and workload.ratio is not None:
            yield Text("compared", style="dim"), Text(), Text(_factor(workload.ratio))


def _table(rows: list[Row]) -> Table:
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _verdict(result: "JobResult") -> Text:
    mark, colour = wording.mark_of(result.status)
    return Text(f"{mark} {wording.words(result.status)}", style=colour)


def _speedup(result: "JobResult") -> Text:
    if result.speedup is None:
        return Text("-", style="dim")
    said = wording.speedup(result.speedup)
    if result.speedup_ci95 is not None:
        said += f" ({' to '.join(map(wording.speedup, result.speedup_ci95))})"
    return Text(said if result.significant else f"{said}, not significant")


def _time(performance: "Performance", role: str) -> str:
    figures = performance.headline("candidate" if role == "candidate" else "reference")
    if figures is None:
        return ""
    times = times_of(figures)
    interval = f" ({' to '.join(map(wording.microseconds, times.interval))})" if times.interval else ""
    return f"{wording.microseconds(times.median)}{interval}"


def _conclusion(comparison: "Comparison") -> Iterator[Line]:
    said, ratio = comparison.conclusion, comparison.conclusion.ratio
    if ratio is None:
        yield Line(
            Text("! ", style="bold yellow"), Text(f"cannot be compared: {said.reason}", style="yellow")
        )
        return
    b, a = one_line(comparison.b.job_id), one_line(comparison.a.job_id)
    if said.significant:
        words, colour = (
            ("significantly faster", "green") if ratio.value > 1 else ("significantly slower", "red")
        )
        line = Text.assemble(
            f"{b} is ", (words, f"bold {colour}"), f" than {a}: {wording.speedup(ratio.value)}"
        )
        line.append(" as fast")
    else:
        words = "no interval, so this may mean nothing" if said.significant is None else "not significant"
        line = Text.assemble(
            (words, "bold yellow"), f": {b} is {wording.speedup(ratio.value)} as fast as {a}"
        )
    if ratio.interval:
        line.append(f" ({' to '.join(map(wording.speedup, ratio.interval))})")
    yield Line(Text(), line)
    if said.reason:
        yield indented(said.reason, style="yellow")
    yield indented(_basis(comparison), style="dim")
    yield indented("times are medians; 95% intervals are in parentheses", style="dim")


def _basis(comparison: "Comparison") -> str:
    if comparison.conclusion.basis == "times":
        return "compared by their times, which were measured apart"
    unknown = any(difference.what == UNKNOWN_REFERENCE for difference in comparison.differences)
    same = "what is taken for the same" if unknown else "the same"
    return f"compared by their speed-ups over {same} reference"


def _differences(comparison: "Comparison") -> Iterator[Line]:
    for difference in comparison.differences:
        colour = "red" if difference.forbids else "yellow"
        said = f"{_subject(difference, comparison)}: {_sides(difference, comparison)}"
        yield Line(Text("! ", style=f"bold {colour}"), Text(said))


def _subject(difference: "Difference", comparison: "Comparison") -> str:
    """What differs; the only workload there is needs no name."""
    what = one_line(difference.what)
    if len(comparison.workloads) == 1:
        return what.removesuffix(f" ({one_line(comparison.workloads[0].name)})")
    return what


def _sides(difference: "Difference", comparison: "Comparison") -> str:
    """`550.90 (first), 560.35 (second)`."""
    a, b = one_line(difference.a), one_line(difference.b)
    if (a, b) == (OWN, ANOTHER):
        return "not the same"
    return a if a == b else f"{a} ({one_line(comparison.a.job_id)}), {b} ({one_line(comparison.b.job_id)})"


def _factor(ratio: "Ratio") -> str:
    interval = f" ({' to '.join(map(wording.speedup, ratio.interval))})" if ratio.interval else ""
    return f"{wording.speedup(ratio.value)} as fast{interval}"
