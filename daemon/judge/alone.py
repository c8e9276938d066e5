"""A reference heard once more, when its candidate is gone.

On a CUDA device a candidate can have kernels of its own at work while its reference is timed: the device divides
its time between both processes, the reference seems slow, and the candidate gains a speed-up. Nobody outside its
process can stop such work for as long as that lives. So where a speed-up was found the reference has to be about as
slow as it is when nobody but it and the judge has the device: as it was heard with an earlier job of this judge's,
or else once more now, when the candidate has been ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

import torch

from kbd.daemon.executor.shared_memory import SharingFailed
from kbd.daemon.judge.alone_times import alone_key
from kbd.daemon.judge.audit import Auditor, Suspicious
from kbd.daemon.judge.bench import Bench, BurstPlan
from kbd.daemon.judge.draw import BadData, DataOutOfReach
from kbd.daemon.judge.readiness import burst_plan, prepared
from kbd.daemon.judge.runner_link import RunnerTrouble
from kbd.daemon.judge.series import SMALLEST_SAMPLE_US, Method
from kbd.daemon.judge.session import Finding, Session
from kbd.daemon.judge.stocking import bench_of_reference
from kbd.daemon.judge.timing import Way, time_kernels
from kbd.outbox.performance import Performance
from kbd.outbox.verdict import Stage

HEARD_ON: Final = frozenset({"cuda"})
"""On the CPU all that was tried slowed the candidate itself more (docs/security.md)."""
SLOWED: Final = 1.1
"""82 references of honest kernels on an H200: 0.96 to 1.07, the largest of launches of 2 us."""
SLOWED_MARGIN_US: Final = 0.2
HEARINGS: Final = (10, 50)
"""Samples of hearings that must agree: a device may be slow for a while by itself, or fast after a rest."""
MOST_FOR_CLOCKS: Final = 1.25
"""Allowed at most for a clock that is higher now: what a candidate does to it is not believed beyond that."""
BUDGET_SHARE: Final = 0.25
TROUBLES: Final = (
    *(RunnerTrouble, BadData, DataOutOfReach),
    *(SharingFailed, torch.cuda.OutOfMemoryError),
)
NOT_HEARD: Final = "the reference could not be timed once more without the candidate"


def hear_references_alone(session: Session) -> None:
    """See to it that every reference of a speed-up is as slow alone; ends the candidate for it.

    Raises Suspicious.
    """
    if session.device.type not in HEARD_ON:
        return
    unknown = [finding for finding in session.findings if not _is_settled(session, finding)]
    if not unknown:
        return
    await_end = session.end_candidate()
    for finding in unknown:
        session.enter(finding)
        session.tell(Stage.TIMING, "reference")
        try:
            _Hearing(session, finding).hold(await_end)
        except TROUBLES as trouble:  # whoever leaves it no time or memory must not gain by that
            finding.withhold_speedup(NOT_HEARD)
            session.note(f"no speed-up is told, since {NOT_HEARD}: {trouble}")


def _is_settled(session: Session, finding: Finding) -> bool:
    """Whether there is no speed-up, or the reference was not slower than it is known to be alone."""
    performance = finding.performance
    if performance is None or performance.speedup is None:
        return True
    if not performance.significant or performance.speedup <= 1:
        return True
    known_us = session.alone_times.of(_key(session, finding))
    if known_us is None or _is_slower(_reference_us(performance), known_us):
        return False
    _tell(finding, known_us)
    return True


def _key(session: Session, finding: Finding) -> str:
    assert finding.performance is not None
    return alone_key(session.request, finding.plan, finding.performance.method)


def _reference_us(performance: Performance) -> float:
    figures = performance.headline("reference")
    assert figures is not None
    return figures.median


def _is_slower(beside_us: float, alone_us: float) -> bool:
    return beside_us > SLOWED * alone_us + SLOWED_MARGIN_US


def _tell(finding: Finding, alone_us: float) -> None:
    assert finding.performance is not None
    finding.performance = finding.performance.model_copy(update={"reference_alone_us": alone_us})


class _Hearing:
    """One reference, timed by the method and in bursts as before."""

    def __init__(self, session: Session, finding: Finding) -> None:
        assert finding.performance is not None
        self._session = session
        self._finding = finding
        self._beside_us = _reference_us(finding.performance)
        self._method: Method = "graph" if finding.performance.method == "graph" else "eager"

    def hold(self, await_end: Callable[[], None]) -> None:
        """Raises Suspicious where the reference is faster now, or RunnerTrouble."""
        bench = bench_of_reference(self._session, self._finding)
        plans = [burst_plan(self._beside_us, bench.candidate.count)]
        alone_us, slower = 0.0, True
        for samples in HEARINGS:
            heard_us = self._listen(bench, plans, samples, await_end)
            alone_us = max(alone_us, heard_us)
            slower = slower and _is_slower(self._beside_us, heard_us * self._clock_ratio())
            if not slower:
                break
        _tell(self._finding, alone_us)
        self._session.alone_times.learn(_key(self._session, self._finding), alone_us)
        if slower:
            raise Suspicious(
                "slowed_reference",
                f"the reference took {self._beside_us:.3f} us for a launch beside the candidate, and "
                f"{alone_us:.3f} us when the candidate's process had been ended: something of the candidate's held "
                "it up",
            )

    def _clock_ratio(self) -> float:
        """By how much higher the device's clock is than it was: heavy kernels lower it, for themselves as well."""
        before, now = self._finding.sm_mhz, self._session.inspector.sm_mhz()
        return min(max(now / before, 1.0), MOST_FOR_CLOCKS) if before and now else 1.0

    def _listen(
        self, bench: Bench, plans: Sequence[BurstPlan], samples: int, await_end: Callable[[], None]
    ) -> float:
        """Microseconds per launch."""
        ready = prepared(bench, plans, self._method)
        budget_s = self._session.request.limits.timing_budget_s * BUDGET_SHARE
        await_end()
        with self._session.lease():
            timed = time_kernels(
                bench, ready, Way(self._method, samples, budget_s), Auditor(bench, (), samples)
            )
        return max(median(timed.candidate.measured_us), SMALLEST_SAMPLE_US)
