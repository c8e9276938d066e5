"""What the timing of one workload found. All times of kernels are in microseconds."""

from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from kbd.outbox.intervals import Ratio
from kbd.outbox.report import Report

TimingBasis = Literal["device", "as_called"]
"""device: graph replay, launch overhead gone. as_called: an eager loop, launch overhead included."""

SAMPLES_KEPT: Final = 1_000
"""How many samples of a series stand in a result at most; figures are made of all of them."""

_ROUNDING = 1e-9  # a mean of equal samples may lie an ulp outside of them


class TimingFigures(Report):
    """Statistics over samples of one kernel; percentiles by name.

    `samples_us` are the samples themselves in the order in which they were taken, to six digits: the first
    SAMPLES_KEPT of them, or none in results of versions that kept none.
    """

    median: float = Field(ge=0)
    mean: float = Field(ge=0)
    std: float = Field(ge=0)
    min: float = Field(ge=0)
    max: float = Field(ge=0)
    p95: float = Field(ge=0)
    p99: float = Field(ge=0)
    samples: int = Field(ge=1)
    samples_us: tuple[Annotated[float, Field(ge=0)], ...] = Field(default=(), max_length=SAMPLES_KEPT)

    @model_validator(mode="after")
    def _no_more_than_counted(self) -> Self:
        if len(self.samples_us) > self.samples:
            raise ValueError(f"expected at most {self.samples} samples, found {len(self.samples_us)}")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        chains = ((self.min, self.median, self.p95, self.p99, self.max), (self.min, self.mean, self.max))
        for chain in chains:
            for lower, upper in pairwise(chain):
                if lower > upper * (1 + _ROUNDING):
                    raise ValueError("expected min <= median <= p95 <= p99 <= max and min <= mean <= max")
        return self


class ClaimedTiming(Report):
    """What the runner's own events say. It stands beside the judge's figure and decides nothing."""

    median: float = Field(ge=0)
    samples: int | None = Field(default=None, ge=0)


class KernelTiming(Report):
    """The figures of one kernel, by the judge's clock, in microseconds."""

    unit: Literal["us"] = "us"
    device: TimingFigures | None = None
    as_called: TimingFigures | None = None
    claimed: ClaimedTiming | None = None

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.device is None and self.as_called is None:
            raise ValueError("expected figures for device or as_called, found neither: leave the timing out")
        return self


class Audit(Report):
    """The secret check of timed bursts: how many there were, were compared, and were wrong."""

    bursts: int = Field(ge=0)
    compared: int = Field(ge=0)
    failed: int = Field(ge=0)

    @model_validator(mode="after")
    def _nested(self) -> Self:
        if not self.failed <= self.compared <= self.bursts:
            raise ValueError("expected failed <= compared <= bursts")
        return self


class Launch(Report):
    """One kernel of the candidate as it was launched. `config` are a Triton kernel's constants and options."""

    kernel: str
    count: int = Field(ge=1)
    grid: tuple[int, ...] | None = None
    block: tuple[int, ...] | None = None
    num_warps: int | None = None
    registers: int | None = None
    shared_bytes: int | None = None
    spills: int | None = None
    config: dict[str, bool | int | float | str] | None = None


def check_speedup(
    speedup: float | None, interval: tuple[float, float] | None, significant: bool | None
) -> None:
    """Raise ValueError unless a speed-up, its 95 % interval and its significance can stand side by side."""
    if speedup is None and (interval, significant) != (None, None):
        raise ValueError("expected no interval and no significance where there is no speedup")
    if significant and interval is None:
        raise ValueError("expected an interval for a significant speedup, found none")
    if interval is None:
        return
    low, high = interval
    if not 0 < low <= high:
        raise ValueError(f"expected an interval with 0 < low <= high, found [{low}, {high}]")
    if significant and low <= 1 <= high:
        raise ValueError(f"[{low}, {high}] contains 1: such a speedup is not significant")


class LeaseUse(Report):
    """Seconds for which the workload had the device alone, and what some of them went into.

    Args:
        held: all of them.
        preparation: getting bursts ready and trying them out.
        bursts: launches that were timed.
        contents: new contents for the input sets and a cold cache, before every turn.
        audits: the secret comparison of what launches left.
    """

    held: float = Field(ge=0)
    preparation: float = Field(default=0.0, ge=0)
    bursts: float = Field(ge=0)
    contents: float = Field(ge=0)
    audits: float = Field(ge=0)


class Performance(Report):
    """How fast one workload ran, how that was measured, and how far it was checked.

    Args:
        reference_alone_us: median time of the reference's launches when no candidate's process is there: once more
            after this one's end, or as an earlier job found it; null on the CPU, and without a speed-up.
        speedup: reference time over candidate time; null unless both were timed.
        speedup_ci95: its 95 % interval; null where the samples allow none.
        significant: false when the interval contains 1, or when something voided it.
        pairs: the speed-up that each pair of processes gave, where the job asked for several. `speedup` is their
            geometric mean, all other figures are those of the pair in the middle.
        processes_us: the candidate's median time in each of several processes, where the job asked for them and has
            no reference. All other figures are those of the process in the middle; `noise` is that of their mean.
        timing: which of the two figures `speedup` compares.
        method: graph | events | wall, with `method_reason` where a weaker one had to do.
        noise: relative half-width that was reached; `stop` says in words why sampling ended.
        input_sets: number of input sets in rotation (K).
        lease: where the time went for which the device was held exclusively.
        floor_us: least time physics allows for the bytes that must move.
        setup_us, peak_memory_bytes, launches: of the candidate.
        interpreted: a kernel ran in Triton's interpreter; its times say nothing about its speed, and no speed-up
            is claimed.
    """

    candidate: KernelTiming
    reference: KernelTiming | None = None
    reference_alone_us: float | None = Field(default=None, gt=0)
    speedup: float | None = Field(default=None, gt=0)
    speedup_ci95: tuple[float, float] | None = None
    significant: bool | None = None
    pairs: tuple[Annotated[float, Field(gt=0)], ...] = ()
    processes_us: tuple[Annotated[float, Field(ge=0)], ...] = ()
    timing: TimingBasis | None = None
    method: Literal["graph", "events", "wall"]
    method_reason: str | None = None
    cache: Literal["cold", "warm"]
    l2_policy: str | None = None
    input_sets: int | None = Field(default=None, ge=1)
    noise: float | None = Field(default=None, ge=0)
    stop: str | None = None
    audit: Audit | None = None
    lease: LeaseUse | None = None
    floor_us: float | None = Field(default=None, ge=0)
    peak_memory_bytes: int | None = Field(default=None, ge=0)
    setup_us: float | None = Field(default=None, ge=0)
    launches: tuple[Launch, ...] = ()
    interpreted: bool = False

    @model_validator(mode="after")
    def _speedup_has_both_timings(self) -> Self:
        check_speedup(self.speedup, self.speedup_ci95, self.significant)
        if self.interpreted and self.speedup is not None:
            raise ValueError("expected no speedup of an interpreted kernel")
        if self.speedup is not None and (self.timing is None or None in self._compared_figures()):
            raise ValueError(
                "expected figures of candidate and reference for a speedup, and `timing` to name them"
            )
        return self

    @property
    def is_voided(self) -> bool:
        """Whether its interval excludes 1 and something (a busy host) keeps that from being significant."""
        if self.speedup is None or self.significant:
            return False
        return bool(Ratio(self.speedup, self.speedup_ci95).significant)

    def _compared_figures(self) -> tuple[TimingFigures | None, TimingFigures | None]:
        if self.reference is None or self.timing is None:
            return None, None
        return getattr(self.candidate, self.timing), getattr(self.reference, self.timing)

    def headline(self, kernel: Literal["candidate", "reference"]) -> TimingFigures | None:
        """The figures that count for one kernel: those `timing` names, else device before as_called."""
        measured = self.candidate if kernel == "candidate" else self.reference
        if measured is None:
            return None
        if self.timing is not None:
            named: TimingFigures | None = getattr(measured, self.timing)
            return named
        return measured.device or measured.as_called
