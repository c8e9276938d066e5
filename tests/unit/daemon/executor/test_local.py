"""The local executor, with children that do nothing: fresh runners each time, and nothing is left of them."""

import asyncio
import signal
from types import SimpleNamespace

import pytest

from kbd.daemon.devices import Device
from kbd.daemon.executor.crowding import JUDGED_ALONE
from kbd.daemon.executor.judge_client import JudgeFailed
from kbd.daemon.executor.kept_references import KeptReferences
from kbd.daemon.executor.local import LocalExecutor
from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.protocol import DeviceTarget, Evaluate, Progress, StageLimits, WorkloadPlan
from kbd.daemon.executor.sandbox.isolation import Isolation, IsolationSettings, IsolationTooWeak
from kbd.daemon.executor.sandbox.layers import Layer, Level
from kbd.daemon.executor.sandbox.plan import Bounds
from kbd.daemon.executor.spares import Stock
from kbd.daemon.job_logs.archive import LogArchive
from kbd.daemon.job_logs.log_writing import LogWriting
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.manifest import Evaluation, KernelCode
from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.report import ErrorReport, MemoryReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

KERNEL = KernelCode(kernel_type="torch", source_code="def f(): pass")
VERDICT = Verdict(status=EvaluationStatus.PASSED)
LIMITS = StageLimits(load_s=1, correctness_s=1, timing_s=1, timing_budget_s=1)
LOST = Verdict(
    status=EvaluationStatus.CRASHED,
    stage=Stage.LOAD,
    blame=Blame.CANDIDATE,
    error=ErrorReport(type="Crash", message="gone"),
    lost="candidate",
)
CPU = DeviceTarget(kind="cpu")
CUDA = DeviceTarget(kind="cuda", visible="GPU-1")


def request(**changes):
    values = {
        "job_id": "j" * 60,
        "candidate": KERNEL,
        "reference": KERNEL,
        "workloads": (WorkloadPlan(name="w"),),
        "evaluation": Evaluation(),
        "seconds_left": 60,
        "limits": LIMITS,
    }
    return Evaluate(**values | changes)


class FakeJudge:
    """Does what its script says instead of judging."""

    pid = None
    device = DeviceReport(kind="cpu", name="fake")

    def __init__(self):
        self.script = self.pass_at_once
        self.started = 0
        self.forgets = True

    async def start(self):
        self.started += 1

    async def discard(self):
        return ""

    async def forget_job(self):
        return self.forgets

    async def evaluate(
        self, request, candidate, reference, on_progress, exclusive, end_candidate, archives=()
    ):
        self.request = request
        self.exclusive, self.end_candidate = exclusive, end_candidate
        return await self.script(candidate, reference, on_progress)

    async def pass_at_once(self, candidate, reference, on_progress):
        on_progress(Progress(stage="load", role="reference"))
        on_progress(Progress(stage="correctness", role="candidate"))
        return VERDICT


def executor_of(devices, folder):
    return LocalExecutor(devices, folder / "work", folder, LogWriting(LogArchive(folder)))


@pytest.fixture
def executor(tmp_path, monkeypatch, fake_nursery, on_loop):
    # A real sweep would take the children of other tests for orphans.
    swept = []
    monkeypatch.setattr("kbd.daemon.executor.local.sweep", lambda known: swept.append(known) or 0)
    devices = [Device("cpu0", "a processor", CPU), Device("GPU-1", "a card", CUDA)]
    executor = executor_of(devices, tmp_path)
    executor.nursery = fake_nursery
    executor.swept = swept
    (tmp_path / "work").mkdir()
    for worker in executor.workers:
        worker.judge = FakeJudge()
        worker.spares._nursery = fake_nursery
        worker.spares._stock = Stock(0, 0)  # so that a test knows who is who
    yield executor
    for worker in executor.workers:
        on_loop(ended(worker.spares))


async def ended(spares):
    """The spares, when none is in the making, and then not at all."""
    async with spares.quiet():
        await spares.close()


@pytest.fixture
def worker(executor):
    return executor.workers[0]


@pytest.fixture
def judged(executor, worker, on_loop):
    def run(script=None, **changes):
        if script is not None:
            worker.judge.script = script
        news = []
        outcome = on_loop(run_to_the_end(news, request(**changes)))
        return outcome, news

    async def run_to_the_end(news, request):
        outcome = await executor.run(worker, request, news.append)
        await worker.ending
        return outcome

    return run


def test_a_verdict(judged):
    outcome, news = judged()
    assert outcome.verdict == VERDICT
    assert outcome.failure is None
    assert outcome.device.name == "fake"
    assert outcome.last_progress == news[-1] == Progress(stage="correctness", role="candidate")


def test_the_judge_is_told_what_a_runner_may_use(judged, executor, worker):
    executor._sandboxing = IsolationSettings(bounds=Bounds(memory_bytes=5, device_memory_bytes=7))
    judged()
    assert (worker.judge.request.memory_bytes, worker.judge.request.device_memory_bytes) == (5, 7)


def test_the_judge_knows_whose_cpu_time_to_look_at(executor, on_loop):
    """On the CPU; on a device a runner may work while it waits."""

    async def judged_on(worker):
        await executor.run(worker, request(), lambda _: None)
        await worker.ending
        await worker.kept.close()
        return worker.judge.request.pids

    pids = [on_loop(judged_on(worker)) for worker in executor.workers]
    assert pids == [tuple(process.pid for process in executor.nursery.processes[:2]), ()]


def test_each_runner_has_a_folder_of_its_own_and_none_is_left(judged, executor, tmp_path):
    judged()
    judged()
    folders = [process.folder for process in executor.nursery.processes]
    assert len(set(folders)) == len(folders) == 4
    assert list((tmp_path / "work").iterdir()) == []


def test_a_lone_candidate_gets_no_second_runner(judged, executor):
    async def look(candidate, reference, on_progress):
        assert reference is None
        return VERDICT

    outcome, _ = judged(look, reference=None)
    assert outcome.verdict == VERDICT
    assert set(outcome.runners) == {"candidate"}


def test_runners_are_killed_and_their_output_is_kept(judged, executor):
    async def wait_for_output(candidate, reference, on_progress):
        for _ in iter(lambda: executor.nursery.processes[0].output.total, 7):
            await asyncio.sleep(0)
        return VERDICT

    executor.nursery.commands = ["echo spoken; exec sleep 600"]
    outcome, _ = judged(wait_for_output)
    end = outcome.runners["candidate"]
    assert (end.output, end.truncated) == ("spoken\n", False)
    assert (end.natural, end.exit) == (False, None), "a verdict does not wait for it"
    assert not any(process.alive for process in executor.nursery.processes)


def test_what_runners_print_is_in_the_logs_of_the_attempt(judged, executor, tmp_path):
    async def wait_for_output(candidate, reference, on_progress):
        for _ in iter(lambda: executor.nursery.processes[1].output.total, 6):
            await asyncio.sleep(0)
        return VERDICT

    executor.nursery.commands = ["exec sleep 600", "echo aside; exec sleep 600"]
    judged(wait_for_output, job_id="job", attempt=2)
    executor._job_logs.close()
    archive = LogArchive(tmp_path)
    assert archive.attempts("job") == [2]
    assert archive.path("job", 2, "reference").read_text() == "aside\n"
    assert not archive.path("job", 2, "candidate").exists(), "it printed nothing"


def test_a_runner_that_died_by_itself_is_told_apart(judged, executor):
    async def wait_for_death(candidate, reference, on_progress):
        await executor.nursery.processes[0].wait()
        return LOST

    executor.nursery.commands = ["exit 7"]
    outcome, _ = judged(wait_for_death)
    assert outcome.runners["candidate"].natural
    assert outcome.runners["candidate"].exit == ExitStatus(7)


def test_a_candidate_is_ended_when_its_judge_is_done_with_it(judged, executor, worker):
    alive = []

    async def judge_on(candidate, reference, on_progress):
        await worker.judge.end_candidate()
        alive[:] = [process.alive for process in executor.nursery.processes]
        return VERDICT

    outcome, _ = judged(judge_on)
    assert alive == [False, True], "the reference is still asked"
    end = outcome.runners["candidate"]
    assert (end.natural, end.exit) == (False, ExitStatus(None, signal.SIGKILL))
    assert not any(process.alive for process in executor.nursery.processes)


def test_a_failed_judge_is_a_failure_without_verdict(judged):
    async def fail(candidate, reference, on_progress):
        on_progress(Progress(stage="timing"))
        raise JudgeFailed("the judge died")

    outcome, _ = judged(fail)
    assert outcome.verdict is None
    assert outcome.failure == "the judge died"
    assert outcome.last_progress.stage == "timing"
    assert set(outcome.runners) == {"candidate", "reference"}


def test_a_judge_that_does_not_answer_within_the_jobs_time(judged, monkeypatch):
    async def hang(candidate, reference, on_progress):
        await asyncio.Event().wait()

    monkeypatch.setattr("kbd.daemon.executor.local.JUDGE_GRACE_S", 0.0)
    outcome, _ = judged(hang, seconds_left=0.01)
    assert outcome.verdict is None
    assert "within the job's time" in outcome.failure


def test_a_runner_that_cannot_be_made_leaves_nothing_either(judged, executor, worker, tmp_path, on_loop):
    folders = worker.spares._folder
    worker.spares._folder = lambda number: folders(1)  # the second finds the first one's folder
    with pytest.raises(FileExistsError):
        judged()

    async def over():
        await worker.ending

    on_loop(over())
    assert len(executor.nursery.processes) == 1
    assert not executor.nursery.processes[0].alive
    assert worker.runners == []
    assert list((tmp_path / "work").iterdir()) == []


def test_a_cancelled_attempt_leaves_nothing(executor, worker, on_loop, tmp_path):
    begun = asyncio.Event()

    async def hang(candidate, reference, on_progress):
        begun.set()
        await asyncio.Event().wait()

    worker.judge.script = hang

    async def cancel():
        attempt = asyncio.create_task(executor.run(worker, request(), lambda _: None))
        await begun.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await worker.ending

    on_loop(cancel())
    assert not any(process.alive for process in executor.nursery.processes)
    assert list((tmp_path / "work").iterdir()) == []


class Cancelled:
    """An attempt that is cancelled while its kernel runs, and what is asked of its device afterwards."""

    def __init__(self, executor, worker, problems=()):
        self.executor, self.worker = executor, worker
        self.problems = list(problems)
        self.begun, self.answer = asyncio.Event(), asyncio.Event()
        self.alive_when_asked = []
        worker.judge.script = self.hang
        worker.judge.probe = self.probe

    async def hang(self, candidate, reference, on_progress):
        self.begun.set()
        await asyncio.Event().wait()

    async def probe(self):
        self.alive_when_asked.append(any(each.alive for each in self.executor.nursery.processes))
        await self.answer.wait()
        return self.problems.pop(0) if self.problems else None

    async def happen(self):
        attempt = asyncio.create_task(self.executor.run(self.worker, request(), lambda _: None))
        await self.begun.wait()
        attempt.cancel()
        await asyncio.wait([attempt])


def test_a_device_is_asked_before_it_is_given_on_after_a_cancel(executor, on_loop):
    async def story():
        worker = executor.workers[1]
        woken = asyncio.Event()
        executor.examiner.changed = woken.set
        cancelled = Cancelled(executor, worker)
        await cancelled.happen()
        assert worker not in executor.free_workers()
        cancelled.answer.set()
        await woken.wait()
        assert worker in executor.free_workers()
        assert cancelled.alive_when_asked == [False], "asked when the runners were gone"

    on_loop(story())


@pytest.mark.fault("a device is lost")
def test_a_device_that_a_cancelled_kernel_broke_is_out_until_it_is_well(executor, on_loop, monkeypatch):
    monkeypatch.setattr("kbd.daemon.executor.examiner.FIRST_RETRY_S", 0.0)

    async def story():
        worker = executor.workers[1]
        woken = asyncio.Semaphore(0)
        executor.examiner.changed = woken.release
        cancelled = Cancelled(executor, worker, problems=["it does not answer"])
        await cancelled.happen()
        cancelled.answer.set()
        await woken.acquire()
        assert worker.problem == "it does not answer"
        assert worker not in executor.free_workers()
        await woken.acquire()
        assert worker in executor.free_workers()

    on_loop(story())


def test_a_cancel_on_the_cpu_needs_no_examination(executor, worker, on_loop):
    cancelled = Cancelled(executor, worker)
    on_loop(cancelled.happen())
    assert worker in executor.free_workers()
    assert cancelled.alive_when_asked == []


def test_the_sweep_spares_those_who_work(judged, executor, worker):
    executor.nursery.pid = 11
    executor.workers[1].judge.pid = 22
    judged()
    assert executor.swept == [{11, 22}]


def test_nothing_is_swept_while_a_child_may_be_unknown(judged, executor):
    executor.nursery.forking = True
    judged()
    assert executor.swept == []


def test_nothing_is_swept_while_a_spare_is_made(judged, executor):
    spares = executor.workers[1].spares

    async def refill(candidate, reference, on_progress):
        spares._stock = Stock(1, 1)
        spares.refill()
        monopoly.append(spares.busy)
        return VERDICT

    monopoly = []
    judged(refill)
    assert monopoly == [True]
    assert len(executor.swept) <= 1, "only if the spare was ready before the sweep"


def test_timing_has_the_device_alone_and_in_silence(judged, worker, executor):
    async def time_it(candidate, reference, on_progress):
        worker.spares._stock = Stock(2, 2)
        async with worker.judge.exclusive():
            before = len(executor.nursery.processes)
            worker.spares.refill()
            seen.append((worker.turn.busy, worker.spares.busy, len(executor.nursery.processes) - before))
        return VERDICT

    seen = []
    judged(time_it)
    assert seen == [(True, False, 0)]
    assert not worker.turn.busy


FULL = Verdict(
    status=EvaluationStatus.OUT_OF_MEMORY,
    stage=Stage.CORRECTNESS,
    blame=Blame.CANDIDATE,
    error=ErrorReport(type="OutOfMemory", message="no", memory=MemoryReport(where="device")),
    notes=("a note",),
)
HOST_FULL = FULL.model_copy(
    update={"error": ErrorReport(type="OutOfMemory", message="no", memory=MemoryReport(where="host"))}
)


@pytest.mark.parametrize("verdict", [FULL, HOST_FULL])
def test_a_job_that_had_the_device_for_itself_is_judged_once(judged, worker, executor, verdict):
    async def fail(candidate, reference, on_progress):
        return verdict

    outcome, _ = judged(fail)
    assert outcome.verdict == verdict
    assert len(executor.nursery.processes) == 2


@pytest.mark.parametrize("verdict", [FULL, VERDICT.model_copy(update={"lacked_memory": True})])
@pytest.mark.parametrize("company", ["shares", "leaves"])
def test_no_room_beside_another_job_is_tried_without_company(
    judged, worker, executor, company, verdict, on_loop
):
    """Whether the other one is judged meanwhile, or its memory is still being given back."""

    async def fail(candidate, reference, on_progress):
        seen.append((candidate, len(worker.turn._present)))
        if len(seen) == 2:
            assert other.ending.done(), "its memory is free again"
            return VERDICT.model_copy(update={"notes": ("a note",)})
        if company == "shares":
            other.ending = asyncio.create_task(share_for_a_while())
            await asyncio.sleep(0)
        return verdict

    async def leave():
        return asyncio.create_task(asyncio.sleep(0.05))

    async def share_for_a_while():
        async with worker.turn.shared():
            await asyncio.sleep(0.05)

    seen = []
    other = executor_of([worker.device], executor._work_folder.parent).workers[0]
    other.turn, other.ending = worker.turn, None
    executor.workers.append(other)
    if company == "leaves":
        other.ending = on_loop(leave())
    outcome, _ = judged(fail)
    executor.workers.remove(other)
    assert outcome.verdict.status == "passed"
    assert outcome.verdict.notes == ("a note", JUDGED_ALONE)
    assert [present for _, present in seen] == [1, 1]
    assert seen[0][0] is not seen[1][0], "a candidate's process is used once"


def test_no_room_without_company_is_believed(judged, worker, executor):
    async def fail(candidate, reference, on_progress):
        async with worker.turn.shared_to_end():
            return FULL

    outcome, _ = judged(fail)
    assert outcome.verdict.notes == ("a note", JUDGED_ALONE)
    assert outcome.verdict.status == "out_of_memory"
    assert len(executor.nursery.processes) == 4


def test_spares_are_made_for_the_next_job(judged, worker, executor):
    worker.spares._stock = Stock(2, 2)
    judged()
    first = {process.pid for process in executor.nursery.processes[:2]}
    judged()
    assert len({process.pid for process in executor.nursery.processes}) >= 4
    assert first.isdisjoint(worker.spares.pids)


def test_workers_of_one_device_share_it_and_its_spares(tmp_path):
    devices = [Device("cpu0", "x", CPU, evaluations=2), Device("cpu1", "x", CPU)]
    first, second, other = executor_of(devices, tmp_path).workers
    assert (first.turn, first.spares) == (second.turn, second.spares)
    assert first.turn is not other.turn
    assert first.spares is not other.spares
    assert first.judge is not second.judge


def test_waiting_for_the_device_takes_nothing_from_the_jobs_time(judged, worker, monkeypatch):
    """Another job is timed for longer than this one may take altogether."""

    async def time_it(candidate, reference, on_progress):
        async def other():
            async with worker.turn.shared() as share:
                waiting.set()
                async with share.alone():
                    await asyncio.sleep(0.5)

        waiting = asyncio.Event()
        task = asyncio.create_task(other())
        await waiting.wait()
        async with worker.judge.exclusive():
            await task
        return VERDICT

    monkeypatch.setattr("kbd.daemon.executor.local.JUDGE_GRACE_S", 0.2)
    outcome, _ = judged(time_it, seconds_left=0.1)
    assert outcome.verdict == VERDICT


@pytest.fixture
def startable(executor, monkeypatch):
    """It can be started; the host gives what `host.layers` holds."""

    async def warm():
        return None

    async def find(nursery, device, folder, settings):
        host.probed.append(device)
        return Isolation(settings, layers=host.layers, cuda=device.kind == "cuda")

    host = SimpleNamespace(layers=frozenset({Layer.SECCOMP}), probed=[])
    executor.nursery.start = warm
    executor._locks = []  # the card does not exist, and other tests of this host have the same one
    monkeypatch.setattr("kbd.daemon.executor.sandbox.host.probe", find)
    return host


def test_starting_empties_the_work_folder_and_warms_every_judge(executor, startable, on_loop, tmp_path):
    (tmp_path / "work" / "left-behind").mkdir()
    on_loop(executor.start())
    assert list((tmp_path / "work").iterdir()) == []
    assert [worker.judge.started for worker in executor.workers] == [1, 1]


def test_isolation_is_probed_for_each_kind_of_device_and_given_to_runners(executor, startable, on_loop):
    assert executor.isolation_of(executor.workers[0]) is None
    on_loop(executor.start())
    assert sorted(device.kind for device in startable.probed) == ["cpu", "cuda"]
    cpu, cuda = (executor.nursery.sandbox_for(worker.device.target) for worker in executor.workers)
    assert (cpu.cuda, cuda.cuda) == (False, True)
    assert cpu.layers == cuda.layers == {Layer.SECCOMP}
    assert executor.isolation_of(executor.workers[1]).cuda


def test_a_host_that_gives_too_little_is_refused_before_anything_is_judged(executor, startable, on_loop):
    executor._sandboxing = IsolationSettings(minimum=Level.FULL)
    with pytest.raises(IsolationTooWeak, match=r"minimum is full, this host gives none"):
        on_loop(executor.start())
    assert [worker.judge.started for worker in executor.workers] == [0, 0]


def test_stopping_kills_everything_and_cleans_up(executor, worker, on_loop, tmp_path):
    async def stop():
        runner = await worker.spares.take()
        worker.runners.append(runner)
        await executor.stop()
        return runner.process.alive

    async def end():
        return None

    executor.nursery.stop = end
    assert on_loop(stop()) is False
    assert not (tmp_path / "work").exists()


@pytest.fixture
def keeping(executor, worker, on_loop):
    """A worker whose references serve three jobs; what is kept is ended."""
    worker.kept = KeptReferences(most=2, uses=3)
    yield worker
    on_loop(worker.kept.close())


def test_a_reference_serves_several_jobs_and_every_candidate_one(judged, executor, keeping):
    ends = [judged()[0].runners for _ in range(3)]
    assert len(executor.nursery.processes) == 4, "three candidates and one reference"
    assert [set(end) for end in ends] == [{"candidate", "reference"}] * 3
    assert keeping.kept.pids == set(), "it has served as many as it may"
    assert not any(process.alive for process in executor.nursery.processes)


def test_one_that_does_not_forget_is_ended(judged, executor, keeping):
    keeping.judge.forgets = False
    judged()
    assert keeping.kept.pids == set()
    assert not any(process.alive for process in executor.nursery.processes)


def test_other_owners_have_other_references(executor, keeping, on_loop):
    async def both():
        for owner in ("ann", "bob"):
            await executor.run(keeping, request(), lambda _: None, owner=owner)
            await keeping.ending

    on_loop(both())
    assert len(executor.nursery.processes) == 4
    assert len(keeping.kept.pids) == 2


def test_what_a_used_reference_did_is_tried_again_with_a_new_one(judged, executor, keeping):
    judged()
    verdicts = [
        Verdict(status=EvaluationStatus.INVALID_REFERENCE, stage=Stage.LOAD, blame=Blame.REFERENCE),
        VERDICT,
    ]

    async def blame_it_once(candidate, reference, on_progress):
        return verdicts.pop(0)

    outcome, _ = judged(blame_it_once)
    assert outcome.verdict == VERDICT
    assert verdicts == []
    assert len(executor.nursery.processes) == 2 + 1 + 2


def test_a_kept_reference_is_known_while_its_candidate_is_made(judged, executor, keeping, monkeypatch):
    judged()
    (reference,) = keeping.kept.pids
    known = []
    take = keeping.spares.take

    async def noting(**wishes):
        known.append(reference in keeping.pids)
        return await take(**wishes)

    monkeypatch.setattr(keeping.spares, "take", noting)
    judged()
    assert known == [True], "or another worker's sweep takes it for an orphan"


def test_a_kept_reference_whose_candidate_cannot_be_made_is_ended(judged, executor, keeping, on_loop):
    judged()
    executor.nursery.refusal = NurseryFailed("no more processes")
    with pytest.raises(NurseryFailed):
        judged()

    async def over():
        await keeping.ending

    on_loop(over())
    assert not any(process.alive for process in executor.nursery.processes)
    assert keeping.pids == set()


@pytest.mark.parametrize("place", ["candidate", "reference"])
def test_kernels_with_streams_of_their_own_keep_no_reference(judged, keeping, place):
    streams = KernelCode(kernel_type="torch", source_code="import torch\nside = torch.cuda.Stream()")
    judged(**{place: streams})
    assert keeping.kept.pids == set()
