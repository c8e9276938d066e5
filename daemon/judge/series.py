"""What timing gives: samples of each kernel, and where the seconds went."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

Method = Literal["graph", "eager"]

SMALLEST_SAMPLE_US: Final = 1e-3
LATEST_EMPTIES: Final = 8


@dataclass
class Series:
    """Microseconds per launch of one kernel, sample by sample.

    `measured_us` is the slope between two bursts and counts; noise may make it negative. `whole_us` is what they
    took altogether, less what empty ones take; `single_us` are launches all by themselves; `once_us` is what a
    short burst took that neither an empty one nor its launches explain. `turns_us` is what the bursts of a turn
    took, as it is, and `kept_us` the same of turns whose runner had been told to keep what launches return. There
    are so many `launches` in a turn, and copies of `scattered` outputs are dear. `empties_us` is what the empty
    bursts of a turn took together, `latest_empties_us` what each of the latest took that were taken off.
    `at_rest_us` is the CPU time that the kernel's processes used from one turn to the next, when nothing was asked
    of them, where somebody looked.
    """

    measured_us: list[float] = field(default_factory=list)
    claimed_us: list[float] = field(default_factory=list)
    whole_us: list[float] = field(default_factory=list)
    single_us: list[float] = field(default_factory=list)
    once_us: list[float] = field(default_factory=list)
    turns_us: list[float] = field(default_factory=list)
    kept_us: list[float] = field(default_factory=list)
    empties_us: list[float] = field(default_factory=list)
    launches: int = 0
    scattered: bool = False
    latest_empties_us: deque[float] = field(default_factory=lambda: deque(maxlen=LATEST_EMPTIES))
    at_rest_us: list[float] = field(default_factory=list)
    _used_us: float | None = None

    @property
    def usual_empty_us(self) -> float:
        """The upper quartile of the latest; infinite where there is none.

        The middle one of noisy figures would cut half of another kernel's; the longest is what a host did once.
        """
        if not self.latest_empties_us:
            return math.inf
        return sorted(self.latest_empties_us)[-1 - len(self.latest_empties_us) // 4]

    @property
    def is_watched(self) -> bool:
        """Whether it is known what had been used at the end of the latest turn."""
        return self._used_us is not None

    def begin_turn(self, used_us: float | None) -> None:
        """The kernel's processes have used so much CPU time until now; None: nobody counts it, or has looked."""
        if used_us is not None and self._used_us is not None:
            self.at_rest_us.append(used_us - self._used_us)

    def end_turn(self, used_us: float | None) -> None:
        """As `begin_turn`."""
        self._used_us = used_us


Use = Literal["preparation", "bursts", "contents", "audits"]


@dataclass
class Spent:
    """Seconds that went into getting bursts ready, bursts, new contents before them, and audits after them."""

    preparation: float = 0.0
    bursts: float = 0.0
    contents: float = 0.0
    audits: float = 0.0

    @contextlib.contextmanager
    def on(self, what: Use) -> Iterator[None]:
        """What is done meanwhile."""
        started = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, what, getattr(self, what) + time.perf_counter() - started)


@dataclass(frozen=True)
class TimedKernels:
    """One way of timing, for the candidate and (in a comparison) the reference."""

    method: Method
    reason: str | None
    candidate: Series
    reference: Series | None
    stop: str
    input_sets: int
    """Different input sets of the candidate that were timed."""
    spent: Spent = field(default_factory=Spent)
