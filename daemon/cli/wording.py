"""How states, verdicts, times and sizes are written for people: one way, everywhere."""

import time
from datetime import datetime
from typing import Final

from kbd.outbox.verdict import INCORRECT, EvaluationStatus
from kbd.store.states import JobState

_WRONG: Final = INCORRECT | {
    EvaluationStatus.COMPILE_ERROR,
    EvaluationStatus.RUNTIME_ERROR,
    EvaluationStatus.CRASHED,
    EvaluationStatus.TIMEOUT,
    EvaluationStatus.OUT_OF_MEMORY,
    EvaluationStatus.SUSPECT,
}
_NOBODYS: Final = frozenset({EvaluationStatus.CANCELLED})

INTERPRETED: Final = "the kernel ran in an interpreter: its times mean nothing"

_TIME_UNITS: Final = ((1e6, 1e-6, "s"), (1e3, 1e-3, "ms"), (1.0, 1.0, "µs"), (0.0, 1e3, "ns"))
_AGE_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_BYTE_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def mark_of(status: str) -> tuple[str, str]:
    """The mark and the colour of a verdict: the candidate passed, is to blame, could not be judged."""
    if status == EvaluationStatus.PASSED:
        return "✓", "green"
    if status in _WRONG:
        return "✗", "red"
    return ("-", "dim") if status in _NOBODYS else ("!", "yellow")


def mark_of_state(state: JobState) -> tuple[str, str]:
    """The mark and the colour of a job that has no verdict yet."""
    return ("·", "dim") if state is JobState.SUBMITTED else ("●", "cyan")


def words(status: str) -> str:
    """A verdict as words: `incorrect_output` reads `incorrect output`."""
    return status.replace("_", " ")


def microseconds(value: float) -> str:
    """A kernel's time with its unit and three significant digits: `41.2 µs`, `1.3 ms`."""
    for floor, factor, unit in _TIME_UNITS:
        if value >= floor:
            return f"{_three_digits(value * factor)} {unit}"
    raise ValueError(f"expected a time of 0 or more, found {value}")


def seconds(value: float) -> str:
    """A duration of kbd's own work: `0.42 s`, `75 s`, `12 min`, `6.1 h`."""
    if value >= 3_600:
        return f"{value / 3_600:.1f} h"
    if value >= 600:
        return f"{value / 60:.0f} min"
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"


def age(value_s: float) -> str:
    """How long ago: `now`, `3 min ago`, `2 d ago`. Clocks may have been set: the future is now."""
    if value_s < 5:
        return "now"
    for size_s, unit in _AGE_UNITS:
        if value_s >= size_s:
            return f"{value_s // size_s:.0f} {unit} ago"
    return f"{value_s:.0f} s ago"


def ago(moment: str | None) -> str:
    """The age of a moment in ISO 8601, by this host's clock; what is no moment is shown as it is."""
    try:
        return age(time.time() - datetime.fromisoformat(moment or "").timestamp())
    except ValueError:
        return moment or "-"


def speedup(value: float) -> str:
    """A factor: `2.31x`, `0.87x`, `143x`, `0.0012x`."""
    return f"{value:.2g}x" if 0 < value < 0.1 else f"{_three_digits(value)}x"


def size(nbytes: float) -> str:
    """A number of bytes with a binary unit."""
    for unit in _BYTE_UNITS[:-1]:
        if nbytes < 1024:
            return f"{_three_digits(nbytes)} {unit}" if unit != "B" else f"{nbytes:.0f} B"
        nbytes /= 1024
    return f"{nbytes:.1f} {_BYTE_UNITS[-1]}"


def deviation(value: float | None) -> str:
    """A largest error, or what stands for one that no number can say."""
    return "not finite" if value is None else f"{value:.3g}"


def counted(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"
