"""A verdict on one line, for `kbd wait` and everything else that prints many."""

from typing import TYPE_CHECKING

from rich.text import Text

from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.wording import INTERPRETED, mark_of, microseconds, speedup

if TYPE_CHECKING:
    from kbd.outbox.performance import Performance
    from kbd.outbox.result import JobResult

STATUS_COLUMNS = 18  # as long as the longest verdict, `invalid_reference`, and one


def verdict_line(result: "JobResult", *, id_columns: int = 0) -> Text:
    """The id, the verdict, then what is most worth knowing; words of a fixed order, good for awk."""
    _, colour = mark_of(result.status)
    line = Text(result.job_id.ljust(id_columns))
    line.append("  ")
    line.append(result.status.value.ljust(STATUS_COLUMNS), style=f"bold {colour}")
    line.append(gist(result))
    line.rstrip()
    return line


def gist(result: "JobResult") -> str:
    """What is most worth knowing about a verdict: how fast it is, or what went wrong and where."""
    if not result.passed:
        return what_went_wrong(result)
    if result.interpreted:
        return INTERPRETED
    if result.speedup is not None:
        return _comparison(result)
    times = [_alone(workload.performance) for workload in result.workloads if workload.performance]
    return ", ".join(times)


def what_went_wrong(result: "JobResult") -> str:
    """Whose it is, the stage, and the beginning of the error; empty for a job that passed."""
    where = ", ".join(part.value for part in (result.blame, result.stage) if part is not None)
    said = result.error.message if result.error else "; ".join(found.evidence for found in result.suspect)
    return f"{where}: {one_line(said)}" if where and said else where or one_line(said)


def _comparison(result: "JobResult") -> str:
    factor = speedup(result.speedup or 0.0)
    if result.speedup_ci95 is None:
        return f"{factor} speed-up"
    low, high = result.speedup_ci95
    certain = "" if result.significant else ", not significant"
    return f"{factor} speed-up (95% interval {speedup(low)} to {speedup(high)}{certain})"


def _alone(performance: "Performance") -> str:
    figures = performance.headline("candidate")
    return f"{microseconds(figures.median)} a call" if figures else ""
