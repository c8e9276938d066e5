"""A runner's life: answer the judge's messages about one kernel until the channel closes, then die.

    JUDGE ──message──► serve ──► Harness.<verb> ──► answer ──► JUDGE

An exception of the user's code becomes `Failed` with the user's own traceback; the runner stays alive, because
the judge decides what happens next.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from kbd.backends.base import CompileFailed, KernelError, LoadFailed, Unsupported
from kbd.daemon.executor import protocol
from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.protocol import DeviceTarget, Failed, Warm
from kbd.daemon.runner.harness import Harness
from kbd.daemon.runner.values import UnknownValue

MESSAGE_CHARS = 8_000
TRACEBACK_CHARS = 8_000
SPIN_S = 0.005
HARNESS_FOLDERS = ("/daemon/runner/", "/backends/", "importlib")


def serve(channel: Channel[Any], device: DeviceTarget, folder: Path) -> None:
    """Warm up, say so, and answer until the judge closes the channel."""
    harness = Harness(device, folder)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a killed runner flushes nothing
    warm_up(torch.device(device.torch_name))
    channel.send(Warm())
    # A kernel may have closed the channel behind our back; there is nobody left to tell.
    with contextlib.suppress(PeerGone, OSError):
        _converse(channel, harness, device)


def _converse(channel: Channel[Any], harness: Harness, device: DeviceTarget) -> None:
    while True:
        message, descriptors = channel.receive_with_descriptors()
        # Between bursts a runner on a device does not go to sleep; on the CPU it would take time from others.
        channel.spin_s = SPIN_S if isinstance(message, protocol.Burst) and device.kind == "cuda" else 0.0
        channel.send(answer(harness, message, descriptors))


def warm_up(device: torch.device) -> None:
    """Pay now for what every kernel would pay for at its first call: context, cuBLAS, allocator, thread pool."""
    with torch.inference_mode():
        square = torch.ones((256, 256), device=device)
        torch.relu(square @ square + torch.randn_like(square)).sum().item()


def answer(harness: Harness, message: Any, descriptors: list[int]) -> BaseModel:
    """What the harness says to one message, failures included."""
    if isinstance(message, protocol.Map):
        return _guarded(lambda: harness.map(message, descriptors))
    verb: Callable[[Any], BaseModel] = getattr(harness, message.kind)
    return _guarded(lambda: verb(message))


def _guarded(act: Callable[[], BaseModel]) -> BaseModel:
    try:
        return act()
    except BaseException as error:  # noqa: BLE001 - SystemExit and the user's own kinds are answers too
        return describe(error)


def describe(error: BaseException) -> Failed:
    """An exception as the judge wants it told: status, the user's message, the user's part of the traceback."""
    hint = error.hint if isinstance(error, KernelError) else None
    return Failed(
        status=_status_of(error),
        type=type(error).__name__[:256],
        message=_message_of(error)[:MESSAGE_CHARS],
        hint=hint,
        traceback_tail=_traceback_of(error),
    )


def _status_of(error: BaseException) -> Any:
    if isinstance(error, CompileFailed):
        return "compile_error"
    if isinstance(error, Unsupported | UnknownValue):
        return "unsupported"
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return "out_of_memory"
    return "runtime_error"


def _message_of(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "the kernel returned something that cannot be described: " + str(error)
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception's own __str__ is user code
        return type(error).__name__


def _traceback_of(error: BaseException) -> str | None:
    if isinstance(error, CompileFailed):
        return error.output
    if isinstance(error, LoadFailed | Unsupported):
        return None
    try:
        report = traceback.TracebackException.from_exception(error, compact=True)
    except Exception:  # noqa: BLE001 - the exception's attributes are user code
        return None
    report.stack = traceback.StackSummary.from_list(
        [frame for frame in report.stack if not _is_ours(frame.filename)]
    )
    # Files lie in the runner's own folder, whose name says nothing to anybody.
    return "".join(report.format()).replace(f"{Path.cwd()}/", "")[-TRACEBACK_CHARS:]


def _is_ours(filename: str) -> bool:
    return any(folder in filename for folder in HARNESS_FOLDERS)
