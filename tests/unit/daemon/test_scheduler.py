"""From the queue onto workers and back: with a real database, and an executor that only says it ran."""

import asyncio
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Limits
from kbd.daemon.devices import Device
from kbd.daemon.executor.judge_client import JudgeFailed
from kbd.daemon.executor.local import Outcome
from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.protocol import DeviceTarget, Progress
from kbd.daemon.job_run import workload_plans
from kbd.daemon.judge.verdict import Verdict
from kbd.daemon.scheduler import Scheduler
from kbd.inbox.formats.registry import parse_manifest
from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.states import JobState

PASSED = Outcome(Verdict(status=EvaluationStatus.PASSED), None, {}, None, None)
DEVICE_ERROR = Outcome(
    Verdict(
        status=EvaluationStatus.DEVICE_ERROR,
        stage=Stage.TIMING,
        blame=Blame.DEVICE,
        error=ErrorReport(type="SharingFailed", message="fell off the bus"),
    ),
    None,
    {},
    None,
    None,
)
JUDGE_LOST = Outcome(None, "the judge died", {}, None, None)
WITHOUT_REST = Limits(max_attempts=3, retry_first_s=0.0)


def job(kernel_type="torch", **more):
    document = {"version": 1, "candidate": {"kernel_type": kernel_type, "source_code": "x = 1"}, **more}
    return json.dumps(document)


class FakeExecutor:
    """Its workers do what `script` answers for each request, and note what they were asked."""

    def __init__(self, kinds):
        self.nursery = SimpleNamespace(environment={"torch": "9.9"})
        self.compilers = SimpleNamespace(settings=SimpleNamespace(slots=1, limit_s=300.0))
        self.workers = [
            SimpleNamespace(
                device=Device(f"{kind}{number}", f"a {kind}", DeviceTarget(kind=kind)),
                judge=SimpleNamespace(device=DeviceReport(kind=kind, name=f"a {kind}")),
                job_id=None,
                problem=None,
                ending=None,
            )
            for number, kind in enumerate(kinds)
        ]
        self.asked = []
        self.script = None

    def free_workers(self):
        return [worker for worker in self.workers if worker.job_id is None]

    def isolation_of(self, worker):
        return None

    async def run(self, worker, request, on_progress, archives=(), owner=""):
        self.asked.append((request.job_id, worker.device.key, request))
        answer = PASSED if self.script is None else self.script(request, on_progress)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def make_scheduler(desk):
    clerks = []

    def build(*kinds, limits=WITHOUT_REST):
        clerks.append(Clerk())
        executor = FakeExecutor(kinds or ("cpu",))
        scheduler = Scheduler(executor, clerks[-1], desk, limits, lambda: None)
        return scheduler, executor

    yield build
    for clerk in clerks:
        clerk.close()


async def work(scheduler):
    """Dispatch until nothing is queued and nothing runs."""
    await scheduler.dispatch()
    while not (scheduler.idle and scheduler.queue_empty):
        await scheduler.ended()
        await scheduler.dispatch()


def published(desk):
    return {path.stem: json.loads(path.read_text()) for path in desk.spool.outbox.glob("*.json")}


# --- the way of a job -------------------------------------------------------------------------------


def test_every_job_gets_its_result(make_scheduler, desk, queue, on_loop):
    scheduler, executor = make_scheduler()
    names = [f"j{number}" for number in range(5)]
    queue(*names)
    on_loop(work(scheduler))
    results = published(desk)
    assert sorted(results) == names
    assert {result["status"] for result in results.values()} == {"passed"}
    assert [name for name, _, _ in executor.asked] == names
    assert results["j0"]["environment"]["torch"] == "9.9"
    assert results["j0"]["attempt"] == 1
    assert results["j0"]["timings_s"]["queued"] >= 0
    assert all(worker.job_id is None for worker in executor.workers)


def test_the_attempt_is_in_the_database_before_anything_runs(make_scheduler, desk, queue, on_loop):
    scheduler, executor = make_scheduler()
    states = []

    def look(request, _):
        row = desk.store.get(request.job_id)
        states.append((row.state, row.attempts, row.device))
        return PASSED

    executor.script = look
    queue("j")
    on_loop(work(scheduler))
    assert states == [(JobState.COMPILING, 1, "cpu0")]


def test_stages_are_written_down(make_scheduler, desk, queue, on_loop):
    scheduler, executor = make_scheduler()
    seen = []

    async def advance(request, on_progress):
        for stage in ("load", "correctness", "timing"):
            on_progress(Progress(stage=stage))
            await scheduler._clerk.do(seen.append, scheduler.running["j"].stage)
            seen.append(await scheduler._clerk.do(lambda: desk.store.get("j").state))
        return PASSED

    executor.script = advance
    queue("j")
    on_loop(work(scheduler))
    assert seen[1::2] == [JobState.COMPILING, JobState.VALIDATING, JobState.PROFILING]
    assert seen[0::2] == ["load", "correctness", "timing"]


def test_further_pairs_of_processes_take_no_job_back_to_compiling(make_scheduler, desk, queue, on_loop):
    scheduler, executor = make_scheduler()
    seen = []

    async def judge_twice(request, on_progress):
        for stage in ("load", "correctness", "timing") * 2:
            on_progress(Progress(stage=stage))
            await asyncio.sleep(0)  # the clerk is told of the stage first
            seen.append(await scheduler._clerk.do(lambda: desk.store.get("j").state))
        return PASSED

    executor.script = judge_twice
    queue("j")
    with capture_logs() as logs:
        on_loop(work(scheduler))
    once = [JobState.COMPILING, JobState.VALIDATING, JobState.PROFILING]
    assert seen == [*once, JobState.PROFILING, *once[1:]]
    assert not [record for record in logs if record.get("action") == "advance_failed"]


def test_the_judge_is_asked_what_the_manifest_says(make_scheduler, queue, on_loop):
    scheduler, executor = make_scheduler()
    text = job(
        timeout=33, evaluation={"seed": 5}, reference={"kernel_type": "torch", "source_code": "def r(): pass"}
    )
    queue("j", text=text)
    on_loop(work(scheduler))
    ((_, _, request),) = executor.asked
    assert (request.seconds_left, request.evaluation.seed) == (33, 5)
    assert request.reference.source_code == "def r(): pass"
    assert request.folder is None
    assert [plan.name for plan in request.workloads] == ["default"]


def test_a_job_that_is_a_folder_tells_where_its_files_are(make_scheduler, desk, on_loop):
    scheduler, executor = make_scheduler()
    hidden = desk.spool.inbox / ".j.tmp"
    hidden.mkdir()
    (hidden / "job.yaml").write_text(job())
    desk.take_in.round([hidden.rename(desk.spool.inbox / "j.job")])
    on_loop(work(scheduler))
    ((_, _, request),) = executor.asked
    assert request.folder == str(desk.spool.claimed / "000001" / "j.job")


@pytest.mark.fault("a job is deleted from claimed/")
@pytest.mark.parametrize("when", ["in the queue", "while it is judged"])
def test_a_job_whose_folder_was_deleted_is_not_blamed(make_scheduler, desk, on_loop, when):
    scheduler, executor = make_scheduler()
    hidden = desk.spool.inbox / ".j.tmp"
    hidden.mkdir()
    (hidden / "job.yaml").write_text(job())
    desk.take_in.round([hidden.rename(desk.spool.inbox / "j.job")])
    folder = desk.spool.root / desk.store.get("j").claimed_path

    def judge(_request, _on_progress):
        shutil.rmtree(folder)
        error = ErrorReport(type="BadData", message="data file 'x.npy' cannot be read")
        verdict = Verdict(
            status=EvaluationStatus.INVALID_JOB, blame=Blame.JOB, stage=Stage.CORRECTNESS, error=error
        )
        return Outcome(verdict, None, {}, None, None)

    executor.script = judge
    if when == "in the queue":
        shutil.rmtree(folder)
    on_loop(work(scheduler))
    row = desk.store.get("j")
    assert (row.status, len(executor.asked)) == ("harness_error", 0 if when == "in the queue" else 1)
    assert "the files of this job are gone" in row.error_message


# --- who runs where ---------------------------------------------------------------------------------


def test_as_many_jobs_as_workers(make_scheduler, queue, on_loop):
    scheduler, executor = make_scheduler("cpu", "cpu", "cpu")
    queue(*[f"j{number}" for number in range(5)])
    together = []

    async def meet(_request, _on_progress):
        together.append(len(scheduler.running))
        await asyncio.sleep(0)
        return PASSED

    executor.script = meet
    on_loop(work(scheduler))
    assert max(together) == 3
    assert len(executor.asked) == 5
    assert {device for _, device, _ in executor.asked} == {"cpu0", "cpu1", "cpu2"}


def test_quick_jobs_do_not_keep_the_service_in_one_round(make_scheduler, queue, on_loop):
    """While those behind the first are passed over, it ends: whose turn that makes it is told in the next round."""
    scheduler, executor = make_scheduler()
    queue(*(f"j{number:02d}" for number in range(20)))

    async def one_round():
        await scheduler.dispatch()
        await scheduler.ended()

    on_loop(one_round())
    assert [name for name, _, _ in executor.asked] == ["j00"]
    on_loop(work(scheduler))
    assert [name for name, _, _ in executor.asked] == [f"j{number:02d}" for number in range(20)]


def test_what_waits_for_a_device_is_not_looked_at_whenever_a_job_ends(
    make_scheduler, desk, queue, on_loop, monkeypatch
):
    scheduler, executor = make_scheduler()
    names, looked_at = [f"j{number:02d}" for number in range(40)], []
    ask = desk.store.next_submitted

    def counted(*arguments):
        rows = ask(*arguments)
        looked_at.extend(row.job_id for row in rows)
        return rows

    monkeypatch.setattr(desk.store, "next_submitted", counted)
    queue(*names)
    on_loop(work(scheduler))
    assert [name for name, _, _ in executor.asked] == names
    assert len(looked_at) <= 3 * len(names), "once while no device is free, and when it is their turn"


def test_a_job_waits_for_its_kind_without_blocking_others(make_scheduler, desk, queue, on_loop):
    scheduler, executor = make_scheduler("cuda", "cpu")
    executor.workers[0].job_id = "somebody else's"
    queue("wants-cuda", text=job(device={"kind": "cuda"}))
    queue("wants-cpu", text=job(device={"kind": "cpu"}))

    async def dispatch():
        await scheduler.dispatch()
        await scheduler.ended()

    on_loop(dispatch())
    assert [name for name, _, _ in executor.asked] == ["wants-cpu"]
    assert desk.store.get("wants-cuda").state is JobState.SUBMITTED
    executor.workers[0].job_id = None
    on_loop(work(scheduler))
    assert executor.asked[-1][:2] == ("wants-cuda", "cuda0")


def test_more_jobs_than_the_window_that_wait_for_a_device_get_it(make_scheduler, desk, queue, on_loop):
    """They are passed over while a kernel could be compiled and no device is free; not any longer than that."""
    scheduler, executor = make_scheduler(limits=replace(WITHOUT_REST, queue_window=2))
    names = [f"j{number}" for number in range(6)]
    queue(*names)

    async def busy_at_first():
        executor.workers[0].job_id = "somebody's"
        await scheduler.dispatch()
        executor.workers[0].job_id = None
        await work(scheduler)

    on_loop(asyncio.wait_for(busy_at_first(), 60))
    assert sorted(published(desk)) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [(job("matlab"), "kernel_type 'matlab'"), (job(device={"kind": "cuda"}), "cuda")],
    ids=["type", "device"],
)
def test_what_can_never_run_here_ends_at_once(make_scheduler, desk, queue, on_loop, text, message):
    scheduler, executor = make_scheduler("cpu")
    queue("j", text=text)
    on_loop(work(scheduler))
    result = published(desk)["j"]
    assert (result["status"], result["blame"], result["attempt"]) == ("unsupported", "job", 0)
    assert message in result["error"]["message"]
    assert executor.asked == []


@pytest.mark.parametrize(("typed", "hint"), [("trition", "did you mean triton?"), ("matlab", None)])
def test_a_mistyped_kernel_type_has_a_hint(make_scheduler, desk, queue, on_loop, typed, hint):
    scheduler, _ = make_scheduler()
    queue("a", text=job(typed))
    on_loop(work(scheduler))
    assert published(desk)["a"]["error"]["hint"] == hint


def test_what_was_asked_for_in_vain_is_in_the_result(make_scheduler, desk, queue, on_loop):
    scheduler, _ = make_scheduler()
    queue("a", text=job(evaluation={"sanitizer": "memcheck", "device_metrics": {"enabled": True}}))
    on_loop(work(scheduler))
    result = published(desk)["a"]
    assert result["status"] == "passed"
    assert "memcheck is not run" in result["notes"][0]
    assert "not measured" in result["device_metrics"]["unavailable"]


def test_a_manifest_that_this_version_cannot_read_any_more(make_scheduler, desk, queue, on_loop, monkeypatch):
    scheduler, executor = make_scheduler()
    queue("j")
    monkeypatch.setattr(
        "kbd.daemon.scheduler.JobManifest",
        SimpleNamespace(model_validate_json=lambda _: parse_or_raise()),
    )

    def parse_or_raise():
        return DeviceTarget.model_validate_json("{}")

    on_loop(work(scheduler))
    result = published(desk)["j"]
    assert (result["status"], result["error"]["type"]) == ("harness_error", "UnreadableManifest")
    assert executor.asked == []


# --- faults that are nobody's kernel ----------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [DEVICE_ERROR, JUDGE_LOST, JudgeFailed("gone"), NurseryFailed("no processes"), OSError(24, "files")],
    ids=["device", "judge lost", "JudgeFailed", "NurseryFailed", "OSError"],
)
def test_faults_of_device_and_harness_are_tried_again(make_scheduler, desk, queue, on_loop, fault):
    scheduler, executor = make_scheduler()
    answers = iter([fault, fault, PASSED])
    executor.script = lambda *_: next(answers)
    queue("j")
    on_loop(work(scheduler))
    assert (published(desk)["j"]["status"], published(desk)["j"]["attempt"]) == ("passed", 3)


def test_faults_without_end_are_told_in_the_result(make_scheduler, desk, queue, on_loop):
    scheduler, executor = make_scheduler()
    executor.script = lambda *_: DEVICE_ERROR
    queue("j")
    on_loop(work(scheduler))
    result = published(desk)["j"]
    assert (result["state"], result["status"], result["blame"]) == ("failed", "device_error", "device")
    assert result["attempt"] == len(executor.asked) == WITHOUT_REST.max_attempts


@pytest.mark.parametrize("status", ["crashed", "timeout", "runtime_error", "out_of_memory"])
def test_what_a_kernel_does_wrong_is_never_tried_again(make_scheduler, queue, on_loop, status):
    scheduler, executor = make_scheduler()
    verdict = Verdict(
        status=EvaluationStatus(status),
        stage=Stage.LOAD,
        blame=Blame.CANDIDATE,
        error=ErrorReport(type="X", message="m"),
    )
    executor.script = lambda *_: Outcome(verdict, None, {}, None, None)
    queue("j")
    on_loop(work(scheduler))
    assert len(executor.asked) == 1


def test_a_result_that_cannot_be_published_now_is_kept(make_scheduler, desk, queue, on_loop, monkeypatch):
    scheduler, _ = make_scheduler()
    queue("j")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kbd.daemon.publishing.publish", refuse)
    with capture_logs() as logs:
        on_loop(work(scheduler))
    assert "publish_failed" in {record["action"] for record in logs}
    assert desk.store.get("j").state is JobState.COMPLETED
    assert scheduler.results_wait
    monkeypatch.undo()
    assert desk.publishing.publish_owed() == 1


# --- stopping ---------------------------------------------------------------------------------------


def test_a_stopped_attempt_goes_back_to_the_queue(make_scheduler, desk, queue, on_loop):
    scheduler, executor = make_scheduler()
    begun = asyncio.Event()

    async def hang(_request, _on_progress):
        begun.set()
        await asyncio.Event().wait()

    executor.script = hang
    queue("j")

    async def stop():
        await scheduler.dispatch()
        await begun.wait()
        assert not scheduler.idle
        scheduler.cancel_all()
        await scheduler.ended()

    on_loop(stop())
    assert scheduler.idle
    row = desk.store.get("j")
    assert (row.state, row.attempts) == (JobState.SUBMITTED, 1)
    assert executor.workers[0].job_id is None
    assert published(desk) == {}


def test_the_service_is_woken_when_a_worker_is_free(desk, queue, on_loop):
    clerk, woken = Clerk(), []
    executor = FakeExecutor(["cpu"])
    scheduler = Scheduler(
        executor, clerk, desk, WITHOUT_REST, lambda: woken.append(executor.workers[0].job_id)
    )
    queue("j")
    on_loop(work(scheduler))
    clerk.close()
    assert woken == [None]


# --- plans ------------------------------------------------------------------------------------------


def test_each_kernel_is_called_by_its_own_contract_and_the_job_owns_the_inputs():
    spec = {"shape": ["N"], "dtype": "float32"}
    document = json.loads(job(reference={"kernel_type": "torch", "source_code": "y = 1"}))
    document |= {
        "io": {"args": [{"name": "x", "type": "tensor", "tensor_spec": spec}]},
        "workloads": [{"name": "small", "axes": {"N": 2}}, {"name": "large", "axes": {"N": 9}}],
    }
    small, large = workload_plans(parse_manifest(document, default_id="j", folder=None))
    assert (small.name, small.axes, large.axes) == ("small", {"N": 2}, {"N": 9})
    assert small.inputs == small.reference == small.candidate
    assert large.inputs.input_tensors[0].tensor.shape == (9,)


def test_a_job_without_contract_has_one_plan_without_contracts():
    (plan,) = workload_plans(parse_manifest(json.loads(job()), default_id="j", folder=None))
    assert (plan.inputs, plan.candidate, plan.reference) == (None, None, None)
