"""Reference runners that have served a job, for the next job with the very same reference.

::

    job 1: reference ──judged──► forget ──► kept ──take──► job 2: the same code, loaded again
           candidate ──judged──► killed             …      at most so many jobs, then killed

Who judges many candidates against one reference pays for its context once. The code is the same each time, and so
is the owner of the jobs; every job loads it anew. A candidate's runner is never used again. Whatever a runner that
was kept does wrong is not believed to be the reference's fault before a new one has done the same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from kbd.daemon.executor.runner_process import RunnerProcess
from kbd.inbox.manifest import KernelCode

USES: Final = {"cuda": 16, "cpu": 1}
"""How many jobs a reference's runner may serve: on the CPU a fork costs less than forgetting."""


@dataclass(frozen=True)
class _Kept:
    key: str
    runner: RunnerProcess
    uses: int


def reference_key(reference: KernelCode | None, owner: str) -> str | None:
    """What tells references apart; None for one whose runner is not kept: a compiler may have had a part in it."""
    if reference is None or reference.kernel_type != "torch":
        return None
    return f"{owner}\0{reference.model_dump_json()}"


class KeptReferences:
    """Those of one device: at most `most` at a time, each for `uses` jobs altogether."""

    def __init__(self, most: int, uses: int) -> None:
        self._most = most
        self._uses = uses
        self._kept: deque[_Kept] = deque()
        self._leaving: list[_Kept] = []

    @property
    def pids(self) -> set[int]:
        """Their processes, also of those that are being ended."""
        return {kept.runner.process.pid for kept in (*self._kept, *self._leaving)}

    def take(self, key: str) -> tuple[RunnerProcess, int] | None:
        """One for this reference, and how many jobs it has served; it is the caller's now."""
        for kept in reversed(self._kept):
            if kept.key == key and kept.runner.process.alive:
                self._kept.remove(kept)
                return kept.runner, kept.uses
        return None

    def wants(self, uses: int) -> bool:
        """Whether a runner that has served so many jobs may serve another."""
        return uses < self._uses

    async def keep(self, key: str, runner: RunnerProcess, uses: int) -> None:
        """Keep one that has forgotten its job; ends what has become too many."""
        runner.forget_output()
        self._kept.append(_Kept(key, runner, uses))
        alive = [kept for kept in self._kept if kept.runner.process.alive]
        leaving = [kept for kept in self._kept if kept not in alive] + alive[: -self._most]
        for kept in leaving:
            self._kept.remove(kept)
        self._leaving += leaving
        for kept in leaving:
            await kept.runner.end()
            self._leaving.remove(kept)

    async def close(self) -> None:
        """End them all."""
        while self._kept:
            await self._kept.popleft().runner.end()
