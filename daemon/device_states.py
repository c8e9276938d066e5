"""What the devices are doing, as status displays show it, and since when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from kbd.daemon.executor.worker import Worker

DeviceState: TypeAlias = Literal["free", "busy", "examined", "out"]

SHOWN_FIRST: tuple[DeviceState, ...] = ("out", "busy", "examined", "free")
"""Of several workers on a device, the first of these that one of them is in."""


def now() -> str:
    """The time of day, for people."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class DeviceStates:
    """Looks at the workers from time to time; `since` is when a state was first seen."""

    def __init__(self, clock: Callable[[], str] = now) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[DeviceState, list[str], str]] = {}

    def look(self, workers: Sequence[Worker]) -> list[dict[str, Any]]:
        """One entry for each device, in the order of their first workers."""
        sharing: dict[str, list[Worker]] = {}
        for worker in workers:
            sharing.setdefault(worker.device.key, []).append(worker)
        return [self._entry(key, each) for key, each in sharing.items()]

    def _entry(self, key: str, workers: Sequence[Worker]) -> dict[str, Any]:
        states = [state_of(worker) for worker in workers]
        state = next(state for state in SHOWN_FIRST if state in states)
        jobs = [worker.job_id for worker in workers if worker.job_id is not None]
        seen = self._seen.get(key)
        if seen is None or seen[:2] != (state, jobs):
            seen = self._seen[key] = (state, jobs, self._clock())
        device = workers[0].device
        return {
            "key": key,
            "name": device.name,
            "kind": device.target.kind,
            "arch": device.target.arch,
            "state": state,
            "job": ", ".join(jobs) or None,
            "problem": workers[0].problem,
            "since": seen[2],
        }


def state_of(worker: Worker) -> DeviceState:
    """`examined`: it has no job and gets none before its device has been asked whether it is well."""
    if worker.problem is not None:
        return "out"
    if worker.job_id is not None:
        return "busy"
    return "free" if worker.is_free else "examined"
