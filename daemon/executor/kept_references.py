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
from dataclasses import dataclass, field
from typing import Final

from kbd.daemon.executor.protocol import Evaluate, Role
from kbd.daemon.executor.runner_process import RunnerProcess
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.kernel_source import makes_streams
from kbd.outbox.verdict import Blame, EvaluationStatus

USES: Final = {"cuda": 16, "cpu": 1}
"""How many jobs a reference's runner may serve: on the CPU a fork costs less than forgetting."""
LEAVES_IT_CLEAN: Final = frozenset(
    {
        EvaluationStatus.PASSED,
        EvaluationStatus.SUSPECT,
        EvaluationStatus.COMPILE_ERROR,
        EvaluationStatus.INCORRECT_OUTPUT,
        EvaluationStatus.INCORRECT_SHAPE,
        EvaluationStatus.INCORRECT_DTYPE,
        EvaluationStatus.NON_FINITE,
    }
)


@dataclass(frozen=True)
class Cast:
    """Who plays in one job. `key` names a reference that may be kept; `uses`: jobs it has served before."""

    runners: dict[Role, RunnerProcess] = field(default_factory=dict)
    key: str | None = None
    uses: int = 0

    def outlives(self, verdict: Verdict | None) -> bool:
        """Whether the reference may serve another job after this verdict."""
        return (
            self.key is not None
            and verdict is not None
            and verdict.status in LEAVES_IT_CLEAN
            and self.runners["reference"].process.alive
        )

    def must_play_again(self, verdict: Verdict | None) -> bool:
        """Whether a used runner is the only witness against a reference."""
        return self.uses > 0 and verdict is not None and verdict.blame is Blame.REFERENCE


@dataclass(frozen=True)
class _Kept:
    key: str
    runner: RunnerProcess
    uses: int


def reference_key(request: Evaluate, owner: str) -> str | None:
    """What tells references apart; None where the runner is not kept: something was compiled, or uses streams."""
    reference = request.reference
    if reference is None or reference.kernel_type != "torch" or makes_streams(reference.source_code):
        return None
    if makes_streams(request.candidate.source_code):
        return None
    return f"{owner}\0{reference.model_dump_json()}"


class KeptReferences:
    """Those of one device: at most `most` at a time, each for `uses` jobs altogether."""

    def __init__(self, most: int, uses: int) -> None:
        self._most = most
        self._uses = uses
        self._kept: deque[_Kept] = deque()

    @property
    def pids(self) -> set[int]:
        """Their processes."""
        return {kept.runner.process.pid for kept in self._kept}

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
        dead = [kept for kept in self._kept if not kept.runner.process.alive]
        for kept in dead:
            self._kept.remove(kept)
        while len(self._kept) > self._most:
            dead.append(self._kept.popleft())
        for kept in dead:
            await kept.runner.end()

    async def close(self) -> None:
        """End them all."""
        while self._kept:
            await self._kept.popleft().runner.end()
