"""The local executor: this host's devices, each with a judge, and fresh runners for every job.

    submit ──► free device ──► two new runners ──► judge ──► verdict
                                   │
                                   └─ always killed, reaped and cleaned away before the device is free again

A worker is one judge on one device. Several workers may share a device: they load and compare at the same time,
and each is alone on it while it times (device_turn.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from kbd.daemon.compile_settings import CompileSettings
from kbd.daemon.devices import Device
from kbd.daemon.executor.casting import Cast, Casting
from kbd.daemon.executor.compile_slots import CompileSlots
from kbd.daemon.executor.crowding import is_about_device_memory, leaving_beside, noted
from kbd.daemon.executor.device_lock import DeviceLock
from kbd.daemon.executor.device_turn import DeviceTurn, Share, untimed
from kbd.daemon.executor.examiner import SHAKES_A_DEVICE, Examiner
from kbd.daemon.executor.judge_client import JudgeClient, JudgeFailed
from kbd.daemon.executor.kept_references import USES, KeptReferences
from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.play import Play
from kbd.daemon.executor.process import sweep
from kbd.daemon.executor.process_pairs import ProcessPairs
from kbd.daemon.executor.protocol import Evaluate, Progress, Role
from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.executor.sandbox.host import HostIsolation, probe_host
from kbd.daemon.executor.sandbox.isolation import Isolation, IsolationSettings
from kbd.daemon.executor.spares import Spares, stock_for
from kbd.daemon.executor.worker import Worker
from kbd.daemon.job_logs.log_writing import LogWriting
from kbd.daemon.judge.verdict import Verdict
from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

log = structlog.get_logger(__name__)

# The judge enforces the job's deadline; the daemon only steps in when the judge itself does not answer.
JUDGE_GRACE_S = 10.0
IDLE_S = 0.3


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt: the judge's verdict, or why there is none. `compile_s`: what building took."""

    verdict: Verdict | None
    failure: str | None
    runners: dict[Role, RunnerEnd]
    device: DeviceReport | None
    last_progress: Progress | None
    compile_s: float | None = None


class LocalExecutor:
    """Runs evaluations on this host."""

    def __init__(
        self,
        devices: Sequence[Device],
        work_folder: Path,
        log_folder: Path,
        job_logs: LogWriting,
        sandboxing: IsolationSettings | None = None,
        compiling: CompileSettings | None = None,
        reference_uses: int | None = None,
    ) -> None:
        self.isolation: HostIsolation | None = None
        self._sandboxing = sandboxing or IsolationSettings()
        self._work_folder = work_folder
        self._job_logs = job_logs
        self._stopping = False
        cards = dict.fromkeys(device.key for device in devices if device.target.kind == "cuda")
        self._locks = [DeviceLock(key) for key in cards]
        self.nursery = NurseryClient(log_folder / "nursery.log")
        self.compilers = CompileSlots(
            self.nursery, work_folder, compiling or CompileSettings(work_folder.parent / "artifacts")
        )
        self.compilers.swept = self._sweep
        slots = [device for device in devices for _ in range(device.evaluations)]
        turns = {device.key: DeviceTurn() for device in devices}
        spares = self._spares_of(slots)
        kept = {
            device.key: KeptReferences(2 * device.evaluations, reference_uses or USES[device.target.kind])
            for device in devices
        }
        self.workers = [
            Worker(
                device,
                JudgeClient(self.nursery, device.target, work_folder / f"judge-{number}"),
                turns[device.key],
                spares[device.key],
                kept[device.key],
            )
            for number, device in enumerate(slots)
        ]
        self.examiner = Examiner(self.workers)
        self._casting = Casting(job_logs, self._runners_ended)

    def _spares_of(self, slots: Sequence[Device]) -> dict[str, Spares]:
        """Spares for each device, which all its workers take from."""
        workers = Counter(device.key for device in slots)
        targets = {device.key: device.target for device in slots}
        return {
            key: Spares(
                self.nursery, targets[key], self._folders(number), stock_for(targets[key], workers[key])
            )
            for number, key in enumerate(workers)
        }

    def _folders(self, device: int) -> Callable[[int], Path]:
        return lambda runner: self._work_folder / f"runner-{device}-{runner}"

    async def start(self) -> None:
        """Warm the nursery and every judge, and find out how runners can be isolated.

        Raises DeviceTaken, NurseryFailed, JudgeFailed, or IsolationTooWeak.
        """
        for lock in self._locks:
            lock.acquire()
        self.examiner.remember()
        shutil.rmtree(self._work_folder, ignore_errors=True)
        self._work_folder.mkdir(parents=True, mode=0o700)
        await self.nursery.start()
        targets = [worker.device.target for worker in self.workers]
        self.isolation = await probe_host(self.nursery, targets, self._work_folder, self._sandboxing)
        self.nursery.sandbox_for = self.isolation.sandbox_for
        for worker in self.workers:
            await worker.judge.start()
            worker.spares.refill()

    async def stop(self) -> None:
        """Kill every process and clean up."""
        self._stopping = True
        for worker in self.workers:
            await worker.close()
        await self.nursery.stop()
        self._job_logs.close()
        for lock in self._locks:
            lock.release()
        sweep(set())
        shutil.rmtree(self._work_folder, ignore_errors=True)

    def free_workers(self) -> list[Worker]:
        """Every worker that can take a job now."""
        return [worker for worker in self.workers if worker.is_free]

    def isolation_of(self, worker: Worker | None) -> Isolation | None:
        """What protects the host from kernels on this worker, or from compilers; None before that is known."""
        kind = worker.device.target.kind if worker is not None else "cpu"
        return self.isolation.of(kind) if self.isolation is not None else None

    async def run(
        self,
        worker: Worker,
        request: Evaluate,
        on_progress: Callable[[Progress], None],
        archives: Sequence[int] = (),
        owner: str = "",
    ) -> Outcome:
        """One attempt on a worker that the caller has taken (`worker.job_id`).

        `archives` are descriptors of what was compiled, as the request announces them.
        `owner`: who pays with a reference that was used before for what the last job did to it.

        Whatever happens, no runner and nothing of theirs is left; a verdict that needs nothing more from them
        does not wait for their end.
        """
        bounds = self._sandboxing.bounds
        memory = {"memory_bytes": bounds.memory_bytes, "device_memory_bytes": bounds.device_memory_bytes}
        request = request.model_copy(update=memory)
        last: list[Progress] = []

        def note(progress: Progress) -> None:
            last[:] = [progress]
            on_progress(progress)

        play = Play(request, owner, note, archives)
        pairs = ProcessPairs(request, worker.device.target.kind)
        cast, verdict, failure = await self._play(worker, play)
        if cast.must_play_again(verdict):
            cast, verdict, failure = await self._play(worker, play.with_new_runners())
        while pairs.another_after(verdict):
            cast, verdict, failure = await self._play(worker, play.with_new_runners())
        verdict = pairs.joint(verdict)
        assert worker.ending is not None
        if worker.device.target.kind == "cuda" and (verdict is None or verdict.status in SHAKES_A_DEVICE):
            await asyncio.shield(worker.ending)
            await self.examiner.examine(worker)
            if worker.problem is not None:
                verdict, failure = _device_failed(worker.problem, last), None
        if verdict is None or verdict.lost is not None:
            ends = await asyncio.shield(worker.ending)
        else:
            ends = {role: cast.ended.get(role) or runner.seen() for role, runner in cast.runners.items()}
        return Outcome(verdict, failure, ends, worker.judge.device, last[0] if last else None)

    async def _play(self, worker: Worker, play: Play) -> tuple[Cast, Verdict | None, str | None]:
        """Runners, and the verdict on them or why there is none; their end has begun.

        A verdict about too little memory of a device counts if no other job was there.
        """
        crowded, cast, verdict, failure = await self._performed(worker, worker.turn.shared(), play)
        if crowded and is_about_device_memory(verdict):
            log.info("judged again without company", action="judged_alone", job=play.request.job_id)
            _, cast, verdict, failure = await self._performed(worker, worker.turn.solitary(), play)
            verdict = noted(verdict)
        return cast, verdict, failure

    async def _performed(
        self, worker: Worker, entry: contextlib.AbstractAsyncContextManager[Share], play: Play
    ) -> tuple[bool, Cast, Verdict | None, str | None]:
        """As `_play`, once, and whether anybody else had memory of the device meanwhile."""
        if worker.ending is not None:
            await asyncio.shield(worker.ending)
        async with entry as share:
            leaving = leaving_beside(worker, self.workers)
            if share.is_solitary and leaving:
                await asyncio.wait(leaving)
            await worker.judge.start()
            cast = await self._casting.take(worker, play.request, play.owner, new=play.new)
            verdict = None
            try:
                verdict, failure = await self._judged(worker, share, play, cast)
            except asyncio.CancelledError:
                if worker.device.target.kind == "cuda":
                    self.examiner.examine_when_ended(worker)
                raise
            finally:
                self._casting.end(worker, cast, verdict)
        return share.had_company or bool(leaving), cast, verdict, failure

    async def _judged(
        self, worker: Worker, share: Share, play: Play, cast: Cast
    ) -> tuple[Verdict | None, str | None]:
        """The verdict, or why there is none. The wait for the device alone takes nothing from the job's time."""
        candidate, reference = cast.runners["candidate"], cast.runners.get("reference")
        request = play.request
        if worker.device.target.kind == "cpu":
            request = request.model_copy(update={"pids": cast.pids})
        try:
            async with asyncio.timeout(request.seconds_left + JUDGE_GRACE_S) as limit:
                return await worker.judge.evaluate(
                    request,
                    candidate.channel,
                    reference.channel if reference else None,
                    play.note,
                    lambda: untimed(worker.exclusive(share), limit),
                    lambda: cast.end("candidate"),
                    play.archives,
                ), None
        except JudgeFailed as error:
            return None, str(error)
        except TimeoutError:
            return None, "the judge did not answer within the job's time"

    def _runners_ended(self, worker: Worker) -> None:
        self._sweep()
        worker.spares.refill()
        asyncio.get_running_loop().call_later(IDLE_S, self._top_up, worker)

    def _top_up(self, worker: Worker) -> None:
        """A device without a job is the best time for contexts."""
        if not worker.turn.busy and not self._stopping:
            worker.spares.top_up()

    def _sweep(self) -> None:
        if (
            self.nursery.forking
            or self.compilers.starting
            or any(worker.spares.busy for worker in self.workers)
        ):
            return  # there may be a child that nobody here knows yet; the next sweep finds what is to be found
        known = {pid for worker in self.workers for pid in worker.pids} | self.compilers.pids
        if self.nursery.pid is not None:
            known.add(self.nursery.pid)
        if swept := sweep(known):
            log.warning("killed processes that a kernel left behind", action="orphans_swept", count=swept)


def _device_failed(problem: str, last: Sequence[Progress]) -> Verdict:
    """What was found on a device that turned out broken is void, and nobody's fault."""
    return Verdict(
        status=EvaluationStatus.DEVICE_ERROR,
        stage=Stage(last[0].stage) if last else Stage.LOAD,
        blame=Blame.DEVICE,
        error=ErrorReport(
            type="DeviceFailed", message=f"the device failed its probe after the job: {problem}"
        ),
    )
