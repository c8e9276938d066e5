"""From figures to coordinates, and the round figures that stand along an axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_STEPS: Final = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0))
_MARGIN: Final = 0.05


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low`…`high` to `start`…`end`, evenly or by logarithms."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The coordinate, to a tenth; what lies outside is put on the edge."""
        share = (self._placed(value) - self._placed(self.low)) / (
            self._placed(self.high) - self._placed(self.low)
        )
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start), 1)

    def _placed(self, value: float) -> float:
        return math.log(max(value, 1e-12)) if self.logarithmic else value

    def ticks(self, most: int) -> list[float]:
        """Round figures within the scale, at most so many (but never none where there are any)."""
        return (
            _round_factors(self.low, self.high, most)
            if self.logarithmic
            else _round(self.low, self.high, most)
        )


def even_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """An even scale with room on both sides of the values."""
    low, high = min(values), max(values)
    room = (high - low) * _MARGIN or abs(high) * _MARGIN or 1.0
    return Scale(low - room, high + room, start, end)


def factor_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """A logarithmic scale for factors; 1 is always on it."""
    low, high = min(1.0, *values), max(1.0, *values)
    room = max((high / low) ** _MARGIN, 1.05)
    return Scale(low / room, high * room, start, end, logarithmic=True)


def _round(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _round_factors(low: float, high: float, most: int) -> list[float]:
    found: list[float] = []
    for steps in _LOG_STEPS:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        denser = [step * 10.0**decade for decade in decades for step in steps]
        within = [value for value in denser if low <= value <= high]
        if len(within) > most and found:
            break
        found = within
    return found
