"""Under what different circumstances two results came about."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kbd.daemon.cli.wording import microseconds

if TYPE_CHECKING:
    from kbd.outbox.circumstances import DeviceReport
    from kbd.outbox.performance import Performance
    from kbd.outbox.result import JobResult

CLOCK_TOLERANCE: Final = 0.03
"""Clock rates that differ by less than this say nothing: they move by a few steps all the time."""

_VERSIONS: Final = ("torch", "triton", "cuda", "nvcc", "python", "kbd", "host")
REFERENCE_CHANGE: Final = 0.04
"""A reference whose time differs by more was measured in other circumstances."""

REFERENCE: Final = "reference"
UNKNOWN_REFERENCE: Final = "whether the references are the same"
OWN: Final = "its own"
ANOTHER: Final = "another"
"""What stands for two texts that are too long to be shown, and are not the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One circumstance that two results do not share. `forbids`: so much so that times cannot be compared."""

    what: str
    a: str
    b: str
    forbids: bool = False


def differences(a: "JobResult", b: "JobResult") -> list[Difference]:
    """All that is known, those that forbid a comparison first."""
    found = [*_of_devices(a, b), *_of_versions(a, b), *_of_timing(a, b)]
    return sorted(found, key=lambda difference: not difference.forbids)


def task_differences(a_manifest: str | None, b_manifest: str | None) -> list[Difference]:
    """Whether both jobs asked the same of their candidates, where the database knows what they asked.

    Candidates of different references can still be held against each other, by their times.
    """
    if a_manifest is None or b_manifest is None:
        return [Difference(UNKNOWN_REFERENCE, "not known here", "not known here")]
    asked = [json.loads(text) for text in (a_manifest, b_manifest)]
    return [
        Difference(part, OWN, ANOTHER, forbids=part != REFERENCE)
        for part in (REFERENCE, "workloads", "io")
        if asked[0].get(part) != asked[1].get(part)
    ]


def _of_devices(a: "JobResult", b: "JobResult") -> Iterator[Difference]:
    if a.device is None or b.device is None:
        return
    yield from _unequal("device", a.device.name, b.device.name, forbids=True)
    yield from _unequal("arch", a.device.arch, b.device.arch, forbids=True)
    yield from _unequal("driver", a.device.driver, b.device.driver)
    if a.device.uuid != b.device.uuid and a.device.name == b.device.name:
        yield Difference("device", a.device.uuid or "unknown", b.device.uuid or "unknown")
    yield from _of_clocks(a.device, b.device)
    yield from _unequal("throttled", a.device.throttled or False, b.device.throttled or False)
    yield from _unequal("other processes", a.device.other_processes or 0, b.device.other_processes or 0)


def _of_clocks(a: "DeviceReport", b: "DeviceReport") -> Iterator[Difference]:
    if a.clocks_mhz is None or b.clocks_mhz is None:
        return
    for domain, rate in a.clocks_mhz.after.items():
        other = b.clocks_mhz.after.get(domain)
        if other is not None and abs(rate - other) > CLOCK_TOLERANCE * max(rate, other):
            yield Difference(f"{domain} clock", f"{rate} MHz", f"{other} MHz")


def _of_versions(a: "JobResult", b: "JobResult") -> Iterator[Difference]:
    if a.environment is None or b.environment is None:
        return
    for name in _VERSIONS:
        yield from _unequal(name, getattr(a.environment, name), getattr(b.environment, name))


def _of_timing(a: "JobResult", b: "JobResult") -> Iterator[Difference]:
    theirs = {workload.name: workload.performance for workload in b.workloads}
    seen = set()
    for workload in a.workloads:
        ours, other = workload.performance, theirs.get(workload.name)
        if ours is None or other is None:
            continue
        for difference in (*_of_method(ours, other), *_of_reference(workload.name, ours, other)):
            if difference not in seen:
                seen.add(difference)
                yield difference


def _of_method(a: "Performance", b: "Performance") -> Iterator[Difference]:
    yield from _unequal("timing", _figures_of(a), _figures_of(b), forbids=True)
    yield from _unequal("method", a.method, b.method, forbids=True)
    yield from _unequal("cache", a.cache, b.cache, forbids=True)
    yield from _unequal("l2 policy", a.l2_policy, b.l2_policy)


def _figures_of(performance: "Performance") -> str:
    """Which figures count, also where there is no speed-up to say it."""
    return performance.timing or ("device" if performance.candidate.device else "as_called")


def _of_reference(workload: str, a: "Performance", b: "Performance") -> Iterator[Difference]:
    """The same reference taking longer tells of circumstances that nobody has written down."""
    ours, theirs = a.headline("reference"), b.headline("reference")
    if ours is None or theirs is None or not (ours.median and theirs.median):
        return
    change = max(ours.median, theirs.median) / min(ours.median, theirs.median) - 1
    if change > REFERENCE_CHANGE:
        yield Difference(
            f"time of the reference ({workload})", microseconds(ours.median), microseconds(theirs.median)
        )


def _unequal(what: str, a: Any, b: Any, *, forbids: bool = False) -> Iterator[Difference]:
    if a != b:
        yield Difference(what, _shown(a), _shown(b), forbids)


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
