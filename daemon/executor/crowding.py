"""A job that found too little memory on a device where others were: whose fault that is, nobody knows.

::

    beside other jobs ──no room──► once more, without company ──► that verdict counts
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from kbd.daemon.executor.worker import Worker
from kbd.daemon.judge.verdict import Verdict

JUDGED_ALONE: Final = (
    "beside other jobs the device had too little memory for it, so it was judged once more, without company"
)


def is_about_device_memory(verdict: Verdict | None) -> bool:
    """Whether a device with more room might have made something else of the job."""
    if verdict is None:
        return False
    memory = verdict.error.memory if verdict.error is not None else None
    return verdict.lacked_memory or (memory is not None and memory.where == "device")


def noted(verdict: Verdict | None) -> Verdict | None:
    """The verdict of the second time, which says that it is one."""
    return verdict and verdict.model_copy(update={"notes": (*verdict.notes, JUDGED_ALONE)})


def leaving_beside(worker: Worker, workers: Sequence[Worker]) -> list[asyncio.Task[Any]]:
    """The ends of other jobs on its device that are not over: what they had is not free yet."""
    beside = [each for each in workers if each.turn is worker.turn and each is not worker]
    return [each.ending for each in beside if each.ending is not None and not each.ending.done()]
