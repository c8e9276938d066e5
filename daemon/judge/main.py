"""A judge's life: one device, one evaluation after another, until the daemon closes the channel.

Only trusted code runs here. Seeds, expected outputs, the comparator and the clock that decides live in this
process and in no other.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.process_tree import TreeTime
from kbd.daemon.executor.protocol import (
    CandidateDone,
    CandidateEnded,
    DeviceTarget,
    Evaluate,
    Evaluated,
    Forget,
    Forgotten,
    JudgeReady,
    LeaseGranted,
    LeaseReleased,
    LeaseWanted,
    Probe,
    Probed,
    Progress,
    Role,
)
from kbd.daemon.executor.sandbox.host_memory import host_memory_bytes
from kbd.daemon.judge.alone_times import AloneTimes
from kbd.daemon.judge.device_report import DeviceInspector
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.pipeline import evaluate
from kbd.daemon.judge.room import Announcements
from kbd.daemon.judge.runner_link import Deadline, RunnerLink, RunnerTrouble
from kbd.daemon.judge.session import Session
from kbd.outbox.verdict import Stage

SPIN_S = 0.02
FORGET_LIMIT_S = 2.0
PROBE_SUM = 1023 * 1024 / 2


def serve(channel: Channel[Any], target: DeviceTarget) -> None:
    """Evaluate what the daemon sends until it closes the channel."""
    device = torch.device(target.torch_name)
    if target.kind == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.zeros(1, device=device)
    inspector = DeviceInspector(target)
    channel.send(JudgeReady(device=inspector.report()))
    finished: list[HostedKernel] = []
    alone_times = AloneTimes()
    answer: Evaluated | Probed | Forgotten
    while True:
        try:
            request, descriptors = channel.receive_with_descriptors()
        except PeerGone:
            for kernel in finished:
                kernel.link.close()
            return
        if isinstance(request, Evaluate):
            # The daemon has killed the last job's runners, or had them forget it, so their memory is free by now.
            _release(finished)
            inspector.job_begins()
            session = _session(request, descriptors, target, inspector, channel, alone_times)
            finished = [kernel for kernel in (session.candidate, session.reference) if kernel is not None]
            answer = Evaluated(verdict=evaluate(session))
            session.candidate.link.close()
        else:
            forgotten = isinstance(request, Forget) and _forgotten(finished)
            _release(finished)
            finished = []
            answer = probe(device) if isinstance(request, Probe) else Forgotten(done=forgotten)
        channel.send(answer)


def _session(
    request: Evaluate,
    descriptors: list[int],
    target: DeviceTarget,
    inspector: DeviceInspector,
    channel: Channel[Any],
    alone_times: AloneTimes,
) -> Session:
    deadline = Deadline(request.seconds_left)
    candidate, *reference = _kernels(request, target, descriptors, deadline)
    return Session(
        request=request,
        device=torch.device(target.torch_name),
        candidate=candidate,
        reference=reference[0] if reference else None,
        report_progress=_reporter(channel),
        lease=functools.partial(_lease, channel, deadline),
        inspector=inspector,
        end_candidate=functools.partial(_end_candidate, channel, deadline),
        alone_times=alone_times,
    )


def probe(device: torch.device) -> Probed:
    """Run a tiny kernel and see whether it computes."""
    started = time.monotonic()
    problem, free_bytes = None, None
    try:
        total = float(torch.arange(1024, device=device, dtype=torch.float32).sum())
        if total != PROBE_SUM:
            problem = f"the device added 0 … 1023 up to {total}"
        if device.type == "cuda":
            free_bytes = torch.cuda.mem_get_info(device)[0]
    except RuntimeError as error:
        problem = str(error)
    return Probed(seconds=time.monotonic() - started, free_bytes=free_bytes, problem=problem)


def _forgotten(kernels: list[HostedKernel]) -> bool:
    """Whether the reference of the last job has let go of everything; its candidate is dead by now."""
    try:
        for kernel in kernels[1:]:
            kernel.forget_job(FORGET_LIMIT_S)
    except RunnerTrouble:
        return False
    return len(kernels) == 2


def _kernels(
    request: Evaluate, target: DeviceTarget, descriptors: list[int], deadline: Deadline
) -> list[HostedKernel]:
    roles: tuple[Role, ...] = ("candidate", "reference")
    spin_s = SPIN_S if target.kind == "cuda" else 0.0
    kernels = {
        role: HostedKernel(
            RunnerLink(role, socket.socket(fileno=descriptors.pop(0)), deadline, spin_s=spin_s),
            target.kind,
            request.limits,
            _announcements(request, target),
        )
        for role in roles[: 2 if request.reference is not None else 1]
    }
    for kernel, pid in zip(kernels.values(), request.pids, strict=False):
        kernel.tree_time = TreeTime(pid)
    for archive, descriptor in zip(request.archives, descriptors, strict=True):
        kernels[archive.role].archive = (descriptor, archive.nbytes)
    return list(kernels.values())


def _announcements(request: Evaluate, target: DeviceTarget) -> Announcements:
    """What is believed of a runner. On a device all that is too much fails when room is made for it."""
    if target.kind == "cuda":
        whole = torch.cuda.mem_get_info()[1]
        return Announcements("device", runner_bytes=min(request.device_memory_bytes or whole, whole))
    return Announcements("host", runner_bytes=request.memory_bytes, host_bytes=host_memory_bytes())


def _release(kernels: list[HostedKernel]) -> None:
    for kernel in kernels:
        kernel.release()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def _reporter(channel: Channel[Any]) -> Any:
    def report(stage: Stage, role: Role | None, workload: str | None) -> None:
        channel.send(Progress(stage=stage.value, role=role, workload=workload))

    return report


def _end_candidate(channel: Channel[Any], deadline: Deadline) -> Callable[[], None]:
    """Ask the daemon for it; returns what waits for it, once, which takes nothing from the job's time."""
    channel.send(CandidateDone())

    @functools.cache
    def await_end() -> None:
        asked = time.monotonic()
        ended = channel.receive()
        assert isinstance(ended, CandidateEnded)
        deadline.extend(time.monotonic() - asked)

    return await_end


@contextlib.contextmanager
def _lease(channel: Channel[Any], deadline: Deadline) -> Iterator[None]:
    """The device for this judge alone; waiting for it takes nothing from the job's time."""
    asked = time.monotonic()
    channel.send(LeaseWanted())
    granted = channel.receive()
    assert isinstance(granted, LeaseGranted)
    deadline.extend(time.monotonic() - asked)
    try:
        yield
    finally:
        channel.send(LeaseReleased())
