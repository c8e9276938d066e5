"""A runner's life: answer the judge's messages about one kernel until the channel closes, then die.

    JUDGE ──message──► serve ──► Harness.<verb> ──► answer ──► JUDGE

An exception of the user's code becomes `Failed` with the user's own traceback; the runner stays alive, because
the judge decides what happens next. Whatever class the user's code raises, it is a `runtime_error`: what cannot be
compiled or is not supported is for kbd to say.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import torch
from pydantic import ValidationError

from kbd.backends.base import CompileFailed, KernelError, LoadFailed, Unsupported
from kbd.backends.triton_errors import compile_failure
from kbd.backends.triton_seed import plant
from kbd.daemon.executor import runner_protocol
from kbd.daemon.executor.channel import RUNNER_FRAME_BYTES, Channel, PeerGone, encode
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import Answer, Failed, Warm
from kbd.daemon.runner.core_placing import CorePlacing
from kbd.daemon.runner.harness import Harness
from kbd.daemon.runner.hints import hint_for
from kbd.daemon.runner.raisers import is_raised_by_kbd
from kbd.daemon.runner.shortage import is_shortage, shortage_of
from kbd.daemon.runner.steady_heap import keep_freed_memory
from kbd.daemon.runner.values import UnknownValue

NAME_CHARS = 256
FRAME_SLACK_BYTES = 1024
MESSAGE_CHARS = 8_000
TRACEBACK_CHARS = 8_000
SPIN_S = 0.005
WITH_DESCRIPTORS = runner_protocol.Map | runner_protocol.TakeArtifact | runner_protocol.Listen
HARNESS_FOLDERS = ("/daemon/runner/", "/backends/", "importlib")


def serve(
    channel: Channel[Any], device: DeviceTarget, folder: Path, device_memory_bytes: int | None = None
) -> None:
    """Warm up, say so, and answer until the judge closes the channel."""
    harness = Harness(device, folder)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a killed runner flushes nothing
    if device_memory_bytes is not None and device.kind == "cuda":
        limit_device_memory(torch.device(device.torch_name), device_memory_bytes)
    compute_as_asked()
    keep_freed_memory()
    if device.kind == "cuda":
        plant(Path(os.environ["TRITON_CACHE_DIR"]))
    placing = CorePlacing.here()
    warm_up(torch.device(device.torch_name))
    if device.kind == "cpu":
        placing.place_pool()
    channel.send(Warm())
    # A kernel may have closed the channel behind our back; there is nobody left to tell.
    with contextlib.suppress(PeerGone, OSError):
        _converse(channel, harness, device)


def _converse(channel: Channel[Any], harness: Harness, device: DeviceTarget) -> None:
    while True:
        message, descriptors = channel.receive_with_descriptors()
        # Between bursts a runner on a device does not go to sleep; on the CPU it would take time from others.
        channel.spin_s = (
            SPIN_S if isinstance(message, runner_protocol.Burst) and device.kind == "cuda" else 0.0
        )
        found = answer(harness, message, descriptors)
        channel.send(sendable(found).model_copy(update={"nonce": message.nonce}))


def limit_device_memory(device: torch.device, limit_bytes: int) -> None:
    """Let torch refuse more than this; what a kernel allocates past torch is not counted."""
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit_bytes / total), device)


def compute_as_asked() -> None:
    """Let float32 mean float32 for both kernels: no TF32 that nobody has asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the switch that every supported torch has is called old by some
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def warm_up(device: torch.device) -> None:
    """Pay now for what every kernel would pay for at its first call: context, cuBLAS, allocator, thread pool."""
    with torch.inference_mode():
        square = torch.ones((256, 256), device=device)
        torch.relu(square @ square + torch.randn_like(square)).sum().item()


def sendable(found: Answer) -> Answer:
    """The answer, or a failure that says why the judge could not read it."""
    try:
        size = len(encode(found))
    except (ValueError, RecursionError) as error:
        return _untellable(f"it cannot be written as JSON: {error}"[:MESSAGE_CHARS])
    if size > RUNNER_FRAME_BYTES - FRAME_SLACK_BYTES:
        return _untellable(f"describing it takes {size} bytes, at most {RUNNER_FRAME_BYTES} are read")
    return found


def _untellable(reason: str) -> Failed:
    message = f"the kernel returned something that cannot be judged: {reason}"
    return Failed(status="runtime_error", type="Untellable", message=_plain(message, MESSAGE_CHARS))


def answer(harness: Harness, message: Any, descriptors: list[int]) -> Answer:
    """What the harness says to one message, failures included."""
    try:
        return _act(harness, message, descriptors)
    except BaseException as error:  # noqa: BLE001 - SystemExit and the user's own kinds are answers too
        if is_shortage(error):
            traceback.clear_frames(error.__traceback__)  # what they hold is needed to tell of it
        return describe(compile_failure(error, harness.source) or error)


def _act(harness: Harness, message: Any, descriptors: list[int]) -> Answer:
    if isinstance(message, WITH_DESCRIPTORS):
        with_descriptors: Callable[[Any, list[int]], Answer] = getattr(harness, message.kind)
        return with_descriptors(message, descriptors)
    verb: Callable[[Any], Answer] = getattr(harness, message.kind)
    return verb(message)


def describe(error: BaseException) -> Failed:
    """An exception as the judge wants it told: status, the user's message, the user's part of the traceback."""
    hint = error.hint if _is_kbds_own(error) else hint_for(error)
    return Failed(
        status=_status_of(error),
        type=_plain(type(error).__name__, NAME_CHARS),
        message=_plain(_message_of(error), MESSAGE_CHARS),
        hint=_plain(hint, MESSAGE_CHARS) if hint else None,
        traceback_tail=_tail(_traceback_of(error)),
        memory=shortage_of(error) if is_shortage(error) else None,
    )


def _plain(text: str, limit: int) -> str:
    """The beginning of a text, without the lone surrogates that UTF-8 has no place for."""
    return text[:limit].encode("utf-8", "replace").decode()


def _tail(text: str | None) -> str | None:
    return None if text is None else _plain(text[-TRACEBACK_CHARS:], TRACEBACK_CHARS)


def _is_kbds_own(error: BaseException) -> TypeGuard[KernelError]:
    return isinstance(error, KernelError) and is_raised_by_kbd(error)


def _status_of(error: BaseException) -> Any:
    if _is_kbds_own(error) and isinstance(error, CompileFailed):
        return "compile_error"
    if _is_kbds_own(error) and isinstance(error, Unsupported):
        return "unsupported"
    if is_shortage(error):
        return "out_of_memory"
    return "runtime_error"


def _message_of(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "the kernel returned something that cannot be described: " + str(error)
    if isinstance(error, UnknownValue):
        return f"the kernel returned something that cannot be judged: {error}"
    try:
        return str(error) or _wordless(error)
    except Exception:  # noqa: BLE001 - an exception's own __str__ is user code
        return type(error).__name__


def _wordless(error: BaseException) -> str:
    return "it wanted more memory than it may have" if is_shortage(error) else type(error).__name__


def _traceback_of(error: BaseException) -> str | None:
    if _is_kbds_own(error) and isinstance(error, CompileFailed):
        return error.output
    if isinstance(error, UnknownValue):
        return None
    if _is_kbds_own(error) and isinstance(error, LoadFailed | Unsupported):
        return None
    try:
        report = traceback.TracebackException.from_exception(error, compact=True)
    except Exception:  # noqa: BLE001 - the exception's attributes are user code
        return None
    report.stack = traceback.StackSummary.from_list(
        [frame for frame in report.stack if not _is_ours(frame.filename)]
    )
    # Files lie in the runner's own folder, whose name says nothing to anybody.
    return "".join(report.format()).replace(f"{_folder()}/", "")


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # the kernel removed it
        return "\0"


def _is_ours(filename: str) -> bool:
    return any(folder in filename for folder in HARNESS_FOLDERS)
