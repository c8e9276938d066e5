"""Queued jobs onto workers: order, rests, cancelling, and a database that fails."""

import asyncio
import errno
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from kbd.daemon import scheduler as scheduler_module
from kbd.daemon.assembly import JobIdentity
from kbd.daemon.cancellation import cancelled_result
from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Limits
from kbd.daemon.devices import Device
from kbd.daemon.executor.local import Outcome
from kbd.daemon.executor.protocol import DeviceTarget, Progress
from kbd.daemon.judge.verdict import Verdict
from kbd.daemon.scheduler import Scheduler
from kbd.inbox.control import ControlRequest, Verb
from kbd.outbox.publisher import read_result
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.errors import StoreUnavailable
from kbd.store.states import JobState

JOB = """\
candidate: {kernel_type: torch, source_code: "def same(x): return x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}
"""
ERROR = ErrorReport(type="Trouble", message="it went wrong")
CRASH = Verdict(status=EvaluationStatus.CRASHED, stage=Stage.LOAD, blame=Blame.CANDIDATE, error=ERROR)
DEVICE = Verdict(status=EvaluationStatus.DEVICE_ERROR, stage=Stage.LOAD, blame=Blame.DEVICE, error=ERROR)
CANCEL = ControlRequest(verb=Verb.CANCEL, job_id="a", by="ann@box", reason="too slow")


@dataclass
class Worker:
    name: str
    job_id: str | None = None
    ending: asyncio.Task | None = None
    judge: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(device=None))

    def __post_init__(self):
        self.device = Device(self.name, self.name, DeviceTarget(kind="cpu"))


class Executor:
    """Every attempt waits for what the test says came of it."""

    def __init__(self, *names):
        self.nursery = SimpleNamespace(environment={})
        self.compilers = SimpleNamespace(settings=SimpleNamespace(slots=1, limit_s=300.0))
        self.workers = [Worker(name) for name in names]
        self.attempts = []
        self.killed = []
        self._started = asyncio.Event()

    def free_workers(self):
        return [worker for worker in self.workers if worker.job_id is None]

    def isolation_of(self, worker):
        return None

    async def run(self, worker, request, on_progress, archives=(), owner=""):
        attempt = SimpleNamespace(
            worker=worker,
            request=request,
            progress=on_progress,
            outcome=asyncio.get_running_loop().create_future(),
        )
        self.attempts.append(attempt)
        self._started.set()
        try:
            return await attempt.outcome
        except asyncio.CancelledError:
            worker.ending = asyncio.create_task(self._kill(request.job_id))
            raise

    async def _kill(self, job_id):
        await asyncio.sleep(0)
        self.killed.append(job_id)

    async def attempt(self, number=1):
        """The attempt with this number, over all jobs, once it has begun."""
        while len(self.attempts) < number:
            self._started.clear()
            await asyncio.wait_for(self._started.wait(), 20)
        return self.attempts[number - 1]


class Bench:
    """A scheduler on a real desk, with an executor that does what it is told."""

    def __init__(self, desk, *workers, **limits):
        self.desk = desk
        self.store = desk.store
        self.clerk = Clerk()
        self.executor = Executor(*workers)
        self.woken = asyncio.Event()
        self.scheduler = Scheduler(self.executor, self.clerk, desk, Limits(**limits), self.woken.set)

    async def dispatch(self):
        await self.scheduler.dispatch()

    async def answer(self, number, outcome):
        """Let an attempt end; returns when its worker is free again."""
        attempt = await self.executor.attempt(number)
        self.woken.clear()
        if isinstance(outcome, Exception):
            attempt.outcome.set_exception(outcome)
        else:
            verdict = outcome if isinstance(outcome, Verdict) else None
            failure = outcome if isinstance(outcome, str) else None
            attempt.outcome.set_result(Outcome(verdict, failure, {}, None, None))
        await asyncio.wait_for(self.woken.wait(), 20)

    async def until_stored(self, job_id):
        """Until the database has a final state, whether or not the job's task has come to its end."""
        while self.store.get(job_id).finished_at is None:  # noqa: ASYNC110 - a thread's doing, not an event's
            await asyncio.sleep(0)

    def started(self):
        return [attempt.request.job_id for attempt in self.executor.attempts]

    def result(self, job_id):
        return read_result(self.desk.spool, job_id)

    async def cancel(self, job_id="a"):
        row = self.store.get(job_id)
        return await self.scheduler.cancel(
            row,
            cancelled_result(
                JobIdentity(row.job_id, row.manifest_sha256 or "", row.attempts, row.labels),
                self.scheduler.running.get(job_id),
                CANCEL,
            ),
        )


@pytest.fixture
def on_bench(desk, on_loop):
    """Run a story on a bench; nothing of it is left running."""

    def run(story, *workers, **limits):
        async def whole():
            bench = Bench(desk, *(workers or ("cpu0",)), **limits)
            try:
                await story(bench)
            finally:
                bench.scheduler.cancel_all()
                await bench.scheduler.ended()
                bench.clerk.close()

        on_loop(whole())

    return run


def test_a_candidates_fault_is_final_at_once(on_bench, queue):
    async def story(bench):
        await bench.dispatch()
        await bench.answer(1, CRASH)
        assert bench.result("a").status is EvaluationStatus.CRASHED
        assert bench.scheduler.idle
        await bench.dispatch()
        assert bench.scheduler.queue_empty

    queue("a")
    on_bench(story)


@pytest.mark.parametrize("fault", ["the judge died", DEVICE, OSError("no fork"), RuntimeError("a defect")])
@pytest.mark.fault("a device is lost")
def test_other_faults_are_tried_again_after_a_rest_until_the_limit(on_bench, queue, fault):
    async def story(bench):
        for attempt in (1, 2, 3):
            await bench.dispatch()
            await bench.answer(attempt, fault)
            if attempt < 3:
                assert bench.store.get("a").state is JobState.SUBMITTED
                assert not bench.scheduler.queue_empty
                await bench.dispatch()
                assert bench.scheduler.idle, "it rests"
                assert bench.scheduler.due_in_s > 10
                assert bench.scheduler.hurry("a")
        result = bench.result("a")
        assert (result.attempt, result.state) == (3, "failed")
        (note,) = result.notes
        assert note.startswith("given up after 3 attempts; attempt 1 on cpu0: ")
        assert "attempt 2 on cpu0: " in note

    queue("a")
    on_bench(story, retry_first_s=100.0, retry_longest_s=1000.0)


def test_a_resting_job_blocks_nobody(on_bench, queue):
    async def story(bench):
        await bench.dispatch()
        await bench.answer(1, "the judge died")
        queue("b")
        await bench.dispatch()
        await bench.executor.attempt(2)
        assert bench.started() == ["a", "b"]

    queue("a", text=JOB + "priority: 5\n")
    on_bench(story, retry_first_s=100.0)


def test_the_timeout_counts_from_the_start_of_the_attempt(on_bench, queue, desk):
    desk.store._clock = lambda: 0.0  # it has been queued for decades
    queue("a", text=JOB + "timeout: 7\n")

    async def story(bench):
        await bench.dispatch()
        assert (await bench.executor.attempt()).request.seconds_left == 7
        await bench.answer(1, CRASH)
        assert bench.result("a").timings_s.queued > 1e9

    on_bench(story)


def test_a_job_that_has_to_wait_for_its_device_is_passed_over(on_bench, queue):
    async def story(bench):
        await bench.dispatch()
        assert (await bench.executor.attempt(1)).worker.name == "fast"
        for name in ("b", "c"):
            queue(name, text=JOB + 'device: {name: "fast"}\n')
        queue("d")
        await bench.dispatch()
        assert (await bench.executor.attempt(2)).worker.name == "slow"
        assert bench.started() == ["a", "d"]
        assert not bench.scheduler.queue_empty
        await bench.answer(1, CRASH)
        await bench.dispatch()
        await bench.executor.attempt(3)
        assert bench.started() == ["a", "d", "b"]

    queue("a", text=JOB + 'device: {name: "fast"}\n')
    on_bench(story, "slow", "fast")


def test_a_device_that_becomes_free_during_a_look_goes_to_the_first_in_line(
    on_bench, queue, desk, monkeypatch
):
    """What was passed over because all devices were busy must not be overtaken by what came later."""
    ask, looks = desk.store.next_submitted, []

    async def story(bench):
        (worker,) = bench.executor.workers

        def freed_during_the_third_look(*arguments):
            looks.append(arguments)
            if len(looks) == 3:  # a runs, some that follow it have been passed over
                worker.job_id = None
            return ask(*arguments)

        monkeypatch.setattr(desk.store, "next_submitted", freed_during_the_third_look)
        await bench.dispatch()
        assert bench.started() == ["a"]
        await bench.dispatch()  # the next round
        await bench.executor.attempt(2)
        assert bench.started() == ["a", "b"]

    names = [chr(number) for number in range(ord("a"), ord("a") + 20)]
    queue(*names)
    on_bench(story)


def test_a_job_for_no_device_here_is_unsupported(on_bench, queue):
    async def story(bench):
        await bench.dispatch()
        result = bench.result("a")
        assert result.status is EvaluationStatus.UNSUPPORTED
        assert "'*B200*'" in result.error.message
        assert "cpu0" in result.error.message
        assert bench.started() == []

    queue("a", text=JOB + 'device: {name: "*B200*"}\n')
    on_bench(story)


def test_cancel_in_the_queue(on_bench, queue):
    async def story(bench):
        assert await bench.cancel()
        await bench.dispatch()
        assert bench.started() == []
        result = bench.result("a")
        assert (result.status, result.attempt, result.stage) == (EvaluationStatus.CANCELLED, 0, None)
        assert result.error.message == "by ann@box, before it began: too slow"
        assert not await bench.cancel()

    queue("a")
    on_bench(story)


def test_cancel_while_it_runs(on_bench, queue):
    async def story(bench):
        await bench.dispatch()
        attempt = await bench.executor.attempt()
        attempt.progress(Progress(stage="timing"))
        assert await bench.cancel()
        assert bench.executor.killed == ["a"], "its processes are gone before anybody is told"
        assert bench.executor.free_workers()
        result = bench.result("a")
        assert (result.status, result.attempt, result.stage) == (EvaluationStatus.CANCELLED, 1, Stage.TIMING)
        assert result.error.message == "by ann@box, while it ran: too slow"
        (row,) = bench.store.attempts("a")
        assert row.outcome == "cancelled"

    queue("a")
    on_bench(story)


def test_cancel_in_the_instant_before_the_attempt_is_recorded(on_bench, queue, desk, monkeypatch):
    begin = desk.store.begin_attempt

    def beaten(job_id, *arguments):
        text = cancelled_result(JobIdentity(job_id, "", 0, {}), None, CANCEL).to_json()
        desk.store.finish(job_id, JobState.CANCELLED, text, "cancelled")
        return begin(job_id, *arguments)

    monkeypatch.setattr(desk.store, "begin_attempt", beaten)

    async def story(bench):
        await bench.dispatch()
        await asyncio.wait_for(bench.woken.wait(), 20)
        assert bench.started() == []
        assert bench.store.get("a").attempts == 0
        assert bench.scheduler.idle
        assert bench.scheduler.due_in_s is None

    queue("a")
    on_bench(story)


def test_cancel_while_it_rests(on_bench, queue):
    async def story(bench):
        await bench.dispatch()
        await bench.answer(1, "the judge died")
        assert await bench.cancel()
        assert bench.scheduler.due_in_s is None
        assert bench.result("a").attempt == 1

    queue("a")
    on_bench(story, retry_first_s=100.0)


@pytest.mark.parametrize("cancel_first", [True, False])
@pytest.mark.fault("a job is cancelled while it finishes")
def test_cancel_while_it_finishes_gives_one_result(on_bench, queue, cancel_first):
    async def story(bench):
        await bench.dispatch()
        attempt = await bench.executor.attempt()
        if cancel_first:
            cancelling = asyncio.create_task(bench.cancel())
            await asyncio.sleep(0)
        attempt.outcome.set_result(Outcome(CRASH, None, {}, None, None))
        if not cancel_first:
            await bench.until_stored("a")
            cancelling = asyncio.create_task(bench.cancel())
        assert await cancelling is cancel_first
        await bench.scheduler.ended()
        bench.desk.publishing.publish_owed()
        expected = EvaluationStatus.CANCELLED if cancel_first else EvaluationStatus.CRASHED
        assert bench.result("a").status is expected
        assert bench.store.get("a").status == expected.value

    queue("a")
    on_bench(story)


@pytest.mark.fault("a job is cancelled while it finishes")
def test_cancel_while_its_result_waits_for_the_outbox(on_bench, queue, desk, monkeypatch):
    def full(job_id):
        raise OSError(errno.ENOSPC, "No space left on device")

    async def story(bench):
        with monkeypatch.context() as patched:
            patched.setattr(type(desk.publishing), "publish_one", lambda self, job_id: full(job_id))
            await bench.dispatch()
            await bench.answer(1, CRASH)
            assert not await bench.cancel(), "it has its verdict, wherever that lies"
            assert bench.result("a") is None
        desk.publishing.publish_owed()
        assert bench.result("a").status is EvaluationStatus.CRASHED

    queue("a")
    on_bench(story)


def test_a_stop_puts_it_back_and_counts_the_attempt(on_bench, queue):
    async def story(bench):
        await bench.dispatch()
        await bench.executor.attempt()
        bench.scheduler.cancel_all()
        await bench.scheduler.ended()
        row = bench.store.get("a")
        assert (row.state, row.attempts) == (JobState.SUBMITTED, 1)
        assert bench.result("a") is None

    queue("a")
    on_bench(story)


@pytest.mark.fault("the database is locked")
def test_a_verdict_is_kept_until_the_database_takes_it(on_bench, queue, desk, monkeypatch):
    monkeypatch.setattr(scheduler_module, "STORE_RETRY_S", 0)
    finish, failures = desk.store.finish, iter([StoreUnavailable("full"), StoreUnavailable("full")])

    def full(*arguments, **details):
        if (failure := next(failures, None)) is not None:
            raise failure
        return finish(*arguments, **details)

    monkeypatch.setattr(desk.store, "finish", full)

    async def story(bench):
        await bench.dispatch()
        await bench.answer(1, CRASH)
        assert bench.result("a").status is EvaluationStatus.CRASHED
        assert next(failures, None) is None

    queue("a")
    on_bench(story)


def test_an_attempt_that_cannot_be_recorded_rests(on_bench, queue, desk, monkeypatch):
    def locked(*_):
        raise StoreUnavailable("locked")

    monkeypatch.setattr(desk.store, "begin_attempt", locked)

    async def story(bench):
        await bench.dispatch()
        await asyncio.wait_for(bench.woken.wait(), 20)
        assert bench.started() == []
        await bench.dispatch()
        assert bench.scheduler.idle, "no attempt is begun again at once, and again, and again"
        assert bench.store.get("a").state is JobState.SUBMITTED

    queue("a")
    on_bench(story, retry_first_s=100.0)
