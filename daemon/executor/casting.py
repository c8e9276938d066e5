"""Who plays in a job: runners are taken for it, and afterwards ended, all but a reference that will serve again.

::

    spares ─────────► candidate ──► ended, always
    kept or spares ─► reference ──► ended, or it forgets the job and is kept
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kbd.daemon.executor.kept_references import reference_key
from kbd.daemon.executor.protocol import Evaluate, Role
from kbd.daemon.executor.runner_process import RunnerEnd, RunnerProcess
from kbd.daemon.executor.worker import Worker
from kbd.daemon.job_logs.log_writing import LogWriting
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.kernel_source import makes_streams
from kbd.outbox.verdict import Blame, EvaluationStatus

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
"""After these verdicts a reference's runner may serve another job."""


@dataclass(frozen=True)
class Cast:
    """The runners of one job. `key` names a reference that may be kept; `uses`: jobs it has served before.

    `ended`: how those ended that are gone.
    """

    runners: dict[Role, RunnerProcess] = field(default_factory=dict)
    key: str | None = None
    uses: int = 0
    ended: dict[Role, RunnerEnd] = field(default_factory=dict)

    @property
    def pids(self) -> tuple[int, ...]:
        """The candidate's process, then the reference's."""
        roles: tuple[Role, ...] = ("candidate", "reference")
        return tuple(self.runners[role].process.pid for role in roles if role in self.runners)

    async def end(self, role: Role, *, dying: bool = False) -> RunnerEnd:
        """Kill this runner, if it is not gone yet; one that is `dying` may first die of what kills it."""
        if role not in self.ended:
            self.ended[role] = await self.runners[role].end(dying=dying)
        return self.ended[role]

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


class Casting:
    """Takes and ends the runners of jobs; `ended` is called when those of a job are gone."""

    def __init__(self, job_logs: LogWriting, ended: Callable[[Worker], None]) -> None:
        self._job_logs = job_logs
        self._ended = ended

    async def take(self, worker: Worker, request: Evaluate, owner: str, *, new: bool = False) -> Cast:
        """Warm runners for one job; the reference's may have served others of its `owner`, unless it must be `new`.

        Raises NurseryFailed or OSError; then the end of those that were taken has begun.
        """
        concurrent = _makes_streams(request)
        key = None if new or concurrent else reference_key(request.reference, owner)
        used = worker.kept.take(key) if key is not None else None
        cast = Cast({}, key, used[1] if used is not None else 0)
        try:
            if used is not None:  # at once: nobody else knows it now
                self._join(worker, request, cast, "reference", used[0])
            roles: tuple[Role, ...] = ("candidate", "reference") if request.reference else ("candidate",)
            for role in roles:
                if role not in cast.runners:
                    runner = await worker.spares.take(concurrent=concurrent)
                    self._join(worker, request, cast, role, runner)
        except BaseException:
            self.end(worker, cast)
            raise
        worker.spares.refill()
        return cast

    def _join(self, worker: Worker, request: Evaluate, cast: Cast, role: Role, runner: RunnerProcess) -> None:
        cast.runners[role] = runner
        worker.runners.append(runner)
        runner.record(self._job_logs.begin(request.job_id, request.attempt, role))

    def end(self, worker: Worker, cast: Cast, verdict: Verdict | None = None) -> None:
        """Begin to end them, all but a reference that will serve again; `worker.ending` is the rest of it."""
        worker.ending = asyncio.create_task(self._end(worker, cast, verdict))

    async def _end(self, worker: Worker, cast: Cast, verdict: Verdict | None) -> dict[Role, RunnerEnd]:
        """One that the verdict found lost dies by itself.

        The end of a context disturbs what is timed on its device, so it has to wait until nobody times there.
        """
        lost = verdict.lost if verdict is not None else None
        ends: dict[Role, RunnerEnd] = {}
        async with _share_for_ending(worker):
            if cast.outlives(verdict) and worker.kept.wants(cast.uses + 1):
                ends = await self._end_candidate_alone(worker, cast)
            rest = [role for role in cast.runners if role not in ends]
            found = await asyncio.gather(*(cast.end(role, dying=role == lost) for role in rest))
        for runner in cast.runners.values():
            worker.runners.remove(runner)
        self._ended(worker)
        return ends | dict(zip(rest, found, strict=True))

    async def _end_candidate_alone(self, worker: Worker, cast: Cast) -> dict[Role, RunnerEnd]:
        """Only when the candidate is gone the reference can be asked to forget; keeps it if it does."""
        assert cast.key is not None
        ends: dict[Role, RunnerEnd] = {"candidate": await cast.end("candidate")}
        if await worker.judge.forget_job():
            reference = cast.runners["reference"]
            ends["reference"] = reference.seen()
            await worker.kept.keep(cast.key, reference, cast.uses + 1)
        return ends


def _makes_streams(request: Evaluate) -> bool:
    kernels = (request.candidate, request.reference)
    return any(kernel is not None and makes_streams(kernel.source_code) for kernel in kernels)


def _share_for_ending(worker: Worker) -> contextlib.AbstractAsyncContextManager[object]:
    return worker.turn.shared_to_end() if worker.device.target.kind == "cuda" else contextlib.nullcontext()
