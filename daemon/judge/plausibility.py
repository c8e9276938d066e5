"""Figures that no honest kernel can have: where the time went somewhere else than into the launches.

    time_outside_launches   bursts as a whole took far longer than their launches: work is done once for many
    works_between_turns     its processes use the CPU while nothing is asked of them (at_rest.py)
    slower_when_audited     bursts whose runner knew that they would be looked at took far longer than others
    merged_launches         a launch all by itself takes far longer than one among many
    below_floor             faster than an empty launch, or than its outputs can be written

Each rule leaves a wide margin: one that fails honest kernels is worse than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from kbd.daemon.judge.at_rest import check_rest
from kbd.daemon.judge.audit import Suspicious
from kbd.daemon.judge.device_speed import DeviceSpeed
from kbd.daemon.judge.series import Series, TimedKernels

WHOLE_FACTOR: Final = 2.0
WHOLE_MARGIN_US: Final = {"graph": 1.0, "eager": 20.0}
WHOLE_SAMPLES: Final = {"graph": 3, "eager": 8}
"""Fewer prove nothing: on a busy host a burst may lose its core for longer than it takes."""
QUIET_SHARE: Final = 0.1
ONCE_FACTOR: Final = 0.5
ONCE_MARGIN_US: Final = 150.0
EMPTIES_ALONE_US: Final = 1_000.0
"""What the quickest empty bursts of a turn never take, where there is no reference to tell."""
KEPT_FACTOR: Final = 1.5
KEPT_MARGIN_US: Final = {"graph": 1.0, "eager": 10.0}
KEPT_TURN_MARGIN_US: Final = {"graph": 100.0, "eager": 300.0}
COPIES_FACTOR: Final = {False: 1.5, True: 8.0}
"""More where the candidate's outputs have gaps or another order, which makes it dear to copy them."""
KEPT_TURNS: Final = 3
"""With fewer a busy host may have disturbed them all."""
MANY_KEPT_TURNS: Final = 6
"""From so many on the middle one of the reference tells what keeping costs; of fewer, the worst."""
NOISE_FACTOR: Final = 1.5
SINGLE_FACTOR: Final = 3.0
SINGLE_MARGIN_US: Final = 50.0
FLOOR_SHARE: Final = 0.5
WRITE_FACTOR: Final = 4.0
"""Writes that stay in the cache are faster than memory, but never by so much."""


@dataclass(frozen=True)
class Floor:
    """The least time of one launch in microseconds, from what the device showed at its best."""

    launch_us: float
    write_us: float

    @classmethod
    def of(cls, speed: DeviceSpeed, output_bytes: int) -> Floor:
        """For a kernel that writes so many bytes."""
        return cls(speed.launch_us, output_bytes / speed.bytes_per_us)

    @property
    def copy_us(self) -> float:
        """Of its outputs: they are read and written."""
        return self.launch_us + 2 * self.write_us

    @property
    def least_us(self) -> float:
        """Below this nothing is believed."""
        return max(FLOOR_SHARE * self.launch_us, self.write_us / WRITE_FACTOR)


def check_plausible(timed: TimedKernels, floor: Floor | None, *, on_device: bool) -> None:
    """Raise Suspicious for a candidate whose figures contradict each other or the device."""
    _check_whole(timed)
    _check_empties(timed)
    check_rest(timed)
    if on_device:
        _check_single(timed.candidate)
    else:
        _check_once(timed)
    check_kept(timed, floor)
    if floor is not None and timed.method == "graph":
        _check_floor(timed, floor)


def _check_whole(timed: TimedKernels) -> None:
    candidate = timed.candidate
    if len(candidate.measured_us) < WHOLE_SAMPLES[timed.method]:
        return
    # What is nearly the least of the one, against nearly the most of the other: noise is no evidence.
    whole = float(np.quantile(candidate.whole_us, QUIET_SHARE))
    launch = max(_nearly_the_most(candidate.measured_us), 0.0)
    if whole > WHOLE_FACTOR * launch + WHOLE_MARGIN_US[timed.method]:
        raise Suspicious(
            "time_outside_launches",
            f"{launch:.3f} us for each further launch, but {whole:.3f} us for each of all launches of a burst: "
            "most of the time does not depend on how often the kernel is launched",
        )


def _check_empties(timed: TimedKernels) -> None:
    """Raise Suspicious where work is done in empty bursts: the inputs of those that count lie there already."""
    candidate, reference = timed.candidate, timed.reference
    if len(candidate.empties_us) < WHOLE_SAMPLES[timed.method]:
        return
    if reference is None:
        empties, allowed = float(np.quantile(candidate.empties_us, QUIET_SHARE)), EMPTIES_ALONE_US
    else:
        noise = _nearly_the_most(reference.empties_us)
        empties, allowed = median(candidate.empties_us), NOISE_FACTOR * noise + ONCE_MARGIN_US
    launches = max(median(candidate.measured_us), 0.0) * candidate.launches
    if empties > ONCE_FACTOR * launches + allowed:
        raise Suspicious(
            "time_outside_launches",
            f"{empties:.3f} us for bursts without launches, which should take {allowed:.3f} us at most, and "
            f"{launches:.3f} us for the launches of a turn: work is done before it is asked for",
        )


def _check_once(timed: TimedKernels) -> None:
    """As above, by the middle of all samples: what is done once in most bursts need not be in all of them.

    A busy host does so too, and to the reference: nothing is said of what nearly the worst of its bursts show.
    """
    candidate, reference = timed.candidate, timed.reference
    if reference is None or len(candidate.once_us) < WHOLE_SAMPLES["eager"]:
        return
    once = median(candidate.once_us)
    launches = max(median(candidate.measured_us), 0.0) * candidate.launches
    noise = max(_nearly_the_most(reference.once_us), 0.0)
    if once > ONCE_FACTOR * launches + NOISE_FACTOR * noise + ONCE_MARGIN_US:
        raise Suspicious(
            "time_outside_launches",
            f"{launches:.3f} us for the launches of a turn, but {once:.3f} us in a short burst that neither its "
            f"launches nor an empty burst explain (of the reference hardly ever more than {noise:.3f} us): time is "
            "spent where it does not count",
        )


def check_kept(timed: TimedKernels, floor: Floor | None) -> None:
    """Raise Suspicious where work is done only when it is looked at.

    What keeping costs, and what a busy host does to bursts, is known from the reference.
    """
    candidate, reference = timed.candidate, timed.reference
    if reference is None or min(len(candidate.kept_us), len(reference.kept_us)) < KEPT_TURNS:
        return
    kept, usual = min(candidate.kept_us), median(candidate.turns_us)
    theirs = median(reference.turns_us)
    of_several = max if len(reference.kept_us) < MANY_KEPT_TURNS else median
    copies = max(of_several(reference.kept_us) - theirs, 0.0) / reference.launches
    if floor is not None:  # a reference that writes where it is told copies nothing
        copies = max(copies, floor.copy_us)
    noise = _nearly_the_most(reference.turns_us) - theirs
    margin = KEPT_MARGIN_US[timed.method] * candidate.launches
    margin += KEPT_TURN_MARGIN_US[timed.method] + NOISE_FACTOR * noise
    dear = COPIES_FACTOR[candidate.scattered] * copies * candidate.launches
    if kept > KEPT_FACTOR * usual + dear + margin:
        raise Suspicious(
            "slower_when_audited",
            f"{kept:.3f} us for the bursts of a turn that was to be looked at, but {usual:.3f} us for those of "
            f"others, where looking costs the reference {copies:.3f} us for each of {candidate.launches} launches: "
            "work is done only when it is seen",
        )


def _nearly_the_most(samples: Sequence[float]) -> float:
    return float(np.quantile(samples, 1 - QUIET_SHARE))


def _check_single(candidate: Series) -> None:
    if not candidate.single_us:
        return
    launch, single = median(candidate.measured_us), min(candidate.single_us)
    if single > SINGLE_FACTOR * launch + SINGLE_MARGIN_US:
        raise Suspicious(
            "merged_launches",
            f"{single:.3f} us for a launch by itself, but {launch:.3f} us for each of many: "
            "launches of one burst seem to be done together",
        )


def _check_floor(timed: TimedKernels, floor: Floor) -> None:
    launch = median(timed.candidate.measured_us)
    if _nearly_the_most(timed.candidate.measured_us) >= floor.least_us:
        return
    if timed.reference is not None and median(timed.reference.measured_us) < floor.least_us:
        return  # there is nothing to compute: a view, or a constant
    raise Suspicious(
        "below_floor",
        f"{launch:.3f} us for a launch; on this device an empty one takes {floor.launch_us:.3f} us, and moving "
        f"its outputs once through memory {floor.write_us:.3f} us",
    )
