"""A judge's life: one device, one evaluation after another, until the daemon closes the channel.

Only trusted code runs here. Seeds, expected outputs, the comparator and the clock that decides live in this
process and in no other.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import torch

from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.protocol import (
    DeviceTarget,
    Evaluate,
    Evaluated,
    JudgeReady,
    LeaseGranted,
    LeaseReleased,
    LeaseWanted,
    Progress,
    Role,
)
from kbd.daemon.judge.device_report import DeviceInspector
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.pipeline import evaluate
from kbd.daemon.judge.runner_link import Deadline, RunnerLink
from kbd.daemon.judge.session import Session
from kbd.outbox.verdict import Stage


def serve(channel: Channel[Any], target: DeviceTarget) -> None:
    """Evaluate what the daemon sends until it closes the channel."""
    device = torch.device(target.torch_name)
    if target.kind == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.zeros(1, device=device)
    inspector = DeviceInspector(target)
    channel.send(JudgeReady(device=inspector.report()))
    finished: list[HostedKernel] = []
    while True:
        try:
            request, descriptors = channel.receive_with_descriptors()
        except PeerGone:
            return
        assert isinstance(request, Evaluate)
        # The daemon kills the runners of a job before it sends the next, so their memory is free by now.
        _release(finished)
        finished = _kernels(request, target, descriptors)
        session = Session(
            request=request,
            device=device,
            candidate=finished[0],
            reference=finished[1] if request.reference is not None else None,
            report_progress=_reporter(channel),
            lease=lambda: _lease(channel),
            inspector=inspector,
        )
        verdict = evaluate(session)
        for kernel in finished:
            kernel.link.close()
        channel.send(Evaluated(verdict=verdict))


def _kernels(request: Evaluate, target: DeviceTarget, descriptors: list[int]) -> list[HostedKernel]:
    deadline = Deadline(request.seconds_left)
    roles: tuple[Role, ...] = ("candidate", "reference")
    return [
        HostedKernel(
            RunnerLink(role, socket.socket(fileno=descriptor), deadline), target.kind, request.limits
        )
        for role, descriptor in zip(roles, descriptors, strict=False)
    ]


def _release(kernels: list[HostedKernel]) -> None:
    for kernel in kernels:
        kernel.release()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def _reporter(channel: Channel[Any]) -> Any:
    def report(stage: Stage, role: Role | None, workload: str | None) -> None:
        channel.send(Progress(stage=stage.value, role=role, workload=workload))

    return report


@contextlib.contextmanager
def _lease(channel: Channel[Any]) -> Iterator[None]:
    """The device for this judge alone."""
    channel.send(LeaseWanted())
    granted = channel.receive()
    assert isinstance(granted, LeaseGranted)
    try:
        yield
    finally:
        channel.send(LeaseReleased())
