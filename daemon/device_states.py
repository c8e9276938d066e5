"""What the devices are doing, as status displays show it, and since when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from kbd.daemon.executor.worker import Worker

DeviceState: TypeAlias = Literal["free", "busy", "examined", "out"]


def now() -> str:
    """The time of day, for people."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class DeviceStates:
    """Looks at the workers from time to time; `since` is when a state was first seen."""

    def __init__(self, clock: Callable[[], str] = now) -> None:
        self._clock = clock
        self._seen: dict[int, tuple[DeviceState, str | None, str]] = {}

    def look(self, workers: Sequence[Worker]) -> list[dict[str, Any]]:
        """One entry for each worker, in their order."""
        return [self._entry(place, worker) for place, worker in enumerate(workers)]

    def _entry(self, place: int, worker: Worker) -> dict[str, Any]:
        state, job_id = state_of(worker), worker.job_id
        seen = self._seen.get(place)
        if seen is None or seen[:2] != (state, job_id):
            seen = self._seen[place] = (state, job_id, self._clock())
        return {
            "key": worker.device.key,
            "name": worker.device.name,
            "kind": worker.device.target.kind,
            "arch": worker.device.target.arch,
            "state": state,
            "job": job_id,
            "problem": worker.problem,
            "since": seen[2],
        }


def state_of(worker: Worker) -> DeviceState:
    """`examined`: it has no job and gets none before its device has been asked whether it is well."""
    if worker.problem is not None:
        return "out"
    if worker.job_id is not None:
        return "busy"
    return "free" if worker.is_free else "examined"
