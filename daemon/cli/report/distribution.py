"""The timing samples of one workload as coordinates: a lane for each kernel, time to the right, turns downwards."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kbd.daemon.cli import wording
from kbd.daemon.cli.comparison import times_of
from kbd.daemon.cli.report.scales import Scale, even_scale
from kbd.daemon.cli.samples_plot import drawable

if TYPE_CHECKING:
    from kbd.outbox.performance import Performance, TimingFigures

WIDTH: Final = 720
LEFT: Final = 84
RIGHT: Final = 708
LANE: Final = 46
TOP: Final = 8
MOST_DOTS: Final = 240
OUTLYING: Final = 2.0
TICKS: Final = 6


@dataclass(frozen=True, slots=True)
class Lane:
    """One kernel: a path of dots, its median, and the interval of that."""

    role: str
    top: float
    dots: str
    median: float
    interval: tuple[float, float] | None
    said: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """All lanes over one axis. `left_out` says what is not drawn."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    left_out: str
    width: int = WIDTH
    lane_height: int = LANE

    @property
    def height(self) -> int:
        """With the axis below."""
        return TOP + len(self.lanes) * LANE + 26

    @property
    def floor(self) -> int:
        """Where the axis lies."""
        return TOP + len(self.lanes) * LANE


def distribution(performance: "Performance") -> Distribution | None:
    """The samples of a workload, or None where the result holds none."""
    series = drawable(performance)
    if not series:
        return None
    ceiling = max(figures.p95 for figures in series.values()) * OUTLYING
    drawn = [value for figures in series.values() for value in figures.samples_us if value <= ceiling]
    scale = even_scale(drawn, LEFT, RIGHT)
    lanes = tuple(
        _lane(role, figures, TOP + LANE * place, scale, ceiling)
        for place, (role, figures) in enumerate(series.items())
    )
    ticks = tuple((scale.at(tick), wording.microseconds(max(tick, 0.0))) for tick in scale.ticks(TICKS))
    return Distribution(lanes, ticks, _left_out(list(series.values()), ceiling))


def _lane(role: str, figures: "TimingFigures", top: float, scale: Scale, ceiling: float) -> Lane:
    turns = _thinned(figures.samples_us)
    height, last = LANE - 14, max(turns[-1][0], 1)
    dots = "".join(
        f"M{scale.at(value):g} {top + 7 + height * turn / last:.1f}h0"
        for turn, value in turns
        if value <= ceiling
    )
    interval = times_of(figures).interval
    return Lane(
        role=role,
        top=top,
        dots=dots,
        median=scale.at(figures.median),
        interval=(scale.at(interval[0]), scale.at(interval[1])) if interval else None,
        said=f"{role}: median {wording.microseconds(figures.median)}, p95 {wording.microseconds(figures.p95)}, "
        f"{wording.counted(figures.samples, 'sample')}",
    )


def _thinned(samples: tuple[float, ...]) -> list[tuple[int, float]]:
    """Samples with their turns, evenly thinned to what can be told apart."""
    every = -(-len(samples) // MOST_DOTS)
    return list(enumerate(samples))[::every]


def _left_out(series: list["TimingFigures"], ceiling: float) -> str:
    said = []
    above = sum(value > ceiling for figures in series for value in figures.samples_us)
    if above:
        said.append(f"{wording.counted(above, 'sample')} above {wording.microseconds(ceiling)} not drawn")
    most = max(len(figures.samples_us) for figures in series)
    if most > MOST_DOTS:
        said.append(f"one in {-(-most // MOST_DOTS)} samples drawn")
    if any(len(figures.samples_us) < figures.samples for figures in series):
        said.append("the result holds the first samples only")
    return "; ".join(said)
