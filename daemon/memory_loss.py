"""Runners that died for lack of memory, told apart from those that crashed, and whose memory it was.

::

    killed by its cgroup, aborted over std::bad_alloc …   its own limit     out_of_memory, blamed on the kernel
    killed by the kernel while the whole host was short   who used much     out_of_memory, blamed on the kernel
                                                          who used little   nobody's fault: tried again
    no room on the device, beside other jobs              nobody knows      judged once more, without company
"""

from __future__ import annotations

import signal
from enum import Enum
from typing import Final

from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.judge.verdict import Verdict
from kbd.outbox.report import ErrorReport, MemoryReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

LAST_WORDS_CHARS: Final = 2_000
LARGE_PART: Final = 0.5
"""Of what a runner may use: one that used more than this when the host ran out is taken for the cause."""


class MemoryLoss(Enum):
    """Why a runner had to die: it wanted more than it may, or the host had no more for anybody."""

    OWN = "own"
    HOST = "host"


def memory_loss(end: RunnerEnd, limit_bytes: int | None) -> MemoryLoss | None:
    """Whether this end was one for lack of memory. `limit_bytes`: what a runner may use."""
    if not end.natural or end.exit is None:
        return None
    if end.exit.out_of_memory or _aborted_over_memory(end):
        return MemoryLoss.OWN
    if end.exit.signal != signal.SIGKILL or not end.exit.host_ran_out:
        return None
    used = end.exit.peak_bytes
    large = used is not None and limit_bytes is not None and used > limit_bytes * LARGE_PART
    return MemoryLoss.OWN if large else MemoryLoss.HOST


def _aborted_over_memory(end: RunnerEnd) -> bool:
    """C++ aborts over it, Python dies of an exception; both say so last, and neither has a status for it."""
    assert end.exit is not None
    words = end.output[-LAST_WORDS_CHARS:]
    if end.exit.signal == signal.SIGABRT:
        return "std::bad_alloc" in words
    return end.exit.code == 1 and words.rstrip().rpartition("\n")[2].startswith("MemoryError")


def explained(verdict: Verdict, end: RunnerEnd, limit_bytes: int | None) -> Verdict:
    """The verdict about a runner that the judge lost, once it is known that it died for lack of memory."""
    loss = memory_loss(end, limit_bytes)
    if loss is None:
        return verdict
    memory = MemoryReport(
        where="host", needed_bytes=end.exit.peak_bytes if end.exit else None, limit_bytes=limit_bytes
    )
    if loss is MemoryLoss.HOST:
        return Verdict(
            status=EvaluationStatus.HARNESS_ERROR,
            stage=verdict.stage or Stage.LOAD,
            blame=Blame.HARNESS,
            timings=verdict.timings,
            error=ErrorReport(
                type="HostOutOfMemory",
                message=f"the host ran out of memory, and the kernel killed the {verdict.lost} for it",
                hint="give the daemon fewer slots or the host more memory",
                memory=memory,
            ),
        )
    error = ErrorReport(
        type="OutOfMemory",
        message=f"the {verdict.lost} ran out of host memory: {end.exit}",
        hint="use less memory, or raise KBD_RUNNER_MEMORY_BYTES",
        traceback_tail=end.output[-LAST_WORDS_CHARS:] or None,
        memory=memory,
    )
    status = verdict.status if verdict.lost == "reference" else EvaluationStatus.OUT_OF_MEMORY
    return verdict.model_copy(update={"status": status, "error": error, "lost": None})
