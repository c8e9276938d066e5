"""Placement: which worker may have a job, by what its manifest asks of the device.

Kind and name of a device are known from the start, its architecture once its judge has reported it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from kbd.backends.base import Target
from kbd.daemon.executor.worker import Worker
from kbd.inbox.manifest import DeviceRequest


def placed(request: DeviceRequest, free: Iterable[Worker]) -> Worker | None:
    """The first of the free workers that a job can have; None: it has to wait for another."""
    return next((worker for worker in free if _suits(request, worker) is True), None)


def why_impossible(request: DeviceRequest, workers: Iterable[Worker]) -> str | None:
    """Why no worker of this host will ever do, with what there is; None when one may."""
    workers = tuple(workers)
    if any(_suits(request, worker) is not False for worker in workers):
        return None
    here = ", ".join(dict.fromkeys(map(_described, workers))) or "no device"
    return f"expected a device with {_asked(request)}; this host has: {here}"


def _suits(request: DeviceRequest, worker: Worker) -> bool | None:
    """None: not known yet."""
    if request.kind not in ("auto", worker.device.target.kind):
        return False
    if request.name is not None and not _is_called(worker, request.name):
        return False
    if request.arch is None:
        return True
    arch = _arch(worker)
    return None if arch is None else arch == request.arch


def _is_called(worker: Worker, pattern: str) -> bool:
    """Upper and lower case are the same: drivers have changed theirs before."""
    return fnmatch.fnmatchcase(worker.device.name.lower(), pattern.lower())


def target_of(worker: Worker) -> Target:
    """What kernels are compiled for on this worker's device."""
    device = worker.device.target
    return Target(device.kind, _arch(worker) if device.kind == "cuda" else None)


def target_for(request: DeviceRequest, workers: Iterable[Worker]) -> Target | None:
    """What to compile a job for: a device here that suits it, a free one first; None where there is none."""
    suiting = [worker for worker in workers if _suits(request, worker)]
    free = [worker for worker in suiting if worker.job_id is None and worker.problem is None]
    return next(map(target_of, free + suiting), None)


def _arch(worker: Worker) -> str | None:
    if worker.device.target.arch is not None:
        return worker.device.target.arch
    return worker.judge.device.arch if worker.judge.device is not None else None


def _asked(request: DeviceRequest) -> str:
    kind = None if request.kind == "auto" else request.kind
    asked = {"kind": kind, "name": request.name, "arch": request.arch}
    return ", ".join(f"device.{field} {value!r}" for field, value in asked.items() if value is not None)


def _described(worker: Worker) -> str:
    return f"{worker.device.target.kind} {worker.device.name!r} ({_arch(worker) or 'architecture unknown'})"
