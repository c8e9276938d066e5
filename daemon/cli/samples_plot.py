"""The timing samples of both kernels as a small plot of characters, drawn by plotext.

plotext draws on one figure of the whole process; it is cleared before each use, and nothing else draws on it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kbd.daemon.cli import wording

if TYPE_CHECKING:
    from kbd.outbox.performance import Performance, TimingFigures

ROWS: Final = 11
WIDEST: Final = 100
NARROWEST: Final = 40
FEWEST_SAMPLES: Final = 2
TICKS: Final = 4
OUTLYING: Final = 2.0
"""Samples over this many times the 95th percentile are counted instead of drawn: they would flatten the rest."""

_MARKS: Final = {"candidate": ("•", "cyan+"), "reference": ("○", "magenta+")}
Series = dict[str, "TimingFigures"]


def drawable(performance: "Performance") -> Series:
    """The headline figures of each kernel whose samples are known, by role."""
    found = {role: performance.headline(role) for role in ("candidate", "reference")}
    return {
        role: figures
        for role, figures in found.items()
        if figures and len(figures.samples_us) >= FEWEST_SAMPLES
    }


def plot(series: Series, columns: int) -> list[Text]:
    """The plot, line by line, coloured; a console without colours leaves the marks, which differ too."""
    import plotext

    ceiling = _ceiling(series)
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(max(columns, NARROWEST), WIDEST), ROWS)
    figure.legend(active=False)
    drawn: list[float] = []
    for role, figures in series.items():
        points = [(turn, value) for turn, value in enumerate(figures.samples_us, 1) if value <= ceiling]
        turns, values = zip(*points, strict=True)
        figure.draw(figure.signal(turns, values, marker=plotext.marker(*_MARKS[role])))
        drawn.extend(values)
    _rule(figure, drawn, max(len(figures.samples_us) for figures in series.values()))
    return [line for line in Text.from_ansi(figure.build().string()).split() if line.plain.strip()]


def legend(series: Series) -> Text:
    """Which mark is which kernel, and what the plot leaves out."""
    said = Text()
    for role in series:
        mark, colour = _MARKS[role]
        said.append(f"{mark} ", style=f"bright_{colour.rstrip('+')}")
        said.append(f"{role}  ")
    said.append("time of a launch, sample after sample", style="dim")
    ceiling = _ceiling(series)
    above = sum(value > ceiling for figures in series.values() for value in figures.samples_us)
    if above:
        said.append(
            f"; {wording.counted(above, 'sample')} above {wording.microseconds(ceiling)}", style="yellow"
        )
    return said


def _ceiling(series: Series) -> float:
    return max(figures.p95 for figures in series.values()) * OUTLYING


def _rule(figure: object, values: Sequence[float], turns: int) -> None:
    """Ticks with units at the left, whole numbers below."""
    low, high = min(values), max(values)
    heights = [low + (high - low) * step / (TICKS - 1) for step in range(TICKS)] if high > low else [low]
    vertical, across = (figure.ruler(axis) for axis in ("y", "x"))  # type: ignore[attr-defined]
    vertical.ticks(heights, [f"{_tick(height, high)} " for height in heights])
    places = sorted({1 + round((turns - 1) * step / TICKS) for step in range(TICKS + 1)})
    across.ticks(places, [str(place) for place in places])


def _tick(height: float, high: float) -> str:
    """A slope between two noisy bursts may be next to nothing: that is no time to be told in nanoseconds."""
    return "0" if height < high / 500 else wording.microseconds(height)
