"""What PID 1 and the runner tell the daemon beside the channel: a layer that was refused, how the runner ended.

Lines of text on a pipe that no user's code ever holds: the runner closes it before it serves, PID 1 is not
within anybody's reach.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.refusal import LayerRefused

READ_BYTES = 1 << 14
REASON_CHARS = 1_000


@dataclass(frozen=True)
class ExitReport:
    """What was reported. Everything is None where PID 1 was killed before it could say anything.

    `peak_bytes`: the most that one of the runner's processes had in memory.
    """

    code: int | None = None
    signal: int | None = None
    peak_bytes: int | None = None
    refused: LayerRefused | None = None

    @property
    def ended(self) -> bool:
        """Whether PID 1 saw the runner end."""
        return self.code is not None or self.signal is not None


def report_refusal(descriptor: int, refused: LayerRefused) -> None:
    """Say that a layer is not to be had."""
    reason = " ".join(refused.reason.split())[:REASON_CHARS]
    os.write(descriptor, f"refused\t{refused.layer.name}\t{reason}\n".encode())


def report_end(descriptor: int, wait_status: int, peak_bytes: int) -> None:
    """Say how the runner ended; `wait_status` as os.waitpid gives it."""
    code = os.waitstatus_to_exitcode(wait_status)
    line = f"signal\t{-code}\n" if code < 0 else f"exit\t{code}\n"
    os.write(descriptor, f"peak\t{peak_bytes}\n{line}".encode())


def read_report(descriptor: int) -> ExitReport:
    """What is in the pipe now; never waits."""
    os.set_blocking(descriptor, False)
    try:
        text = os.read(descriptor, READ_BYTES).decode(errors="replace")
    except BlockingIOError:
        text = ""
    code = signal = peak_bytes = refused = None
    for line in text.splitlines():
        match line.split("\t"):
            case ["exit", number]:
                code = int(number)
            case ["signal", number]:
                signal = int(number)
            case ["peak", number]:
                peak_bytes = int(number)
            case ["refused", name, reason]:
                refused = LayerRefused(Layer[name], reason)
    return ExitReport(code, signal, peak_bytes, refused)
