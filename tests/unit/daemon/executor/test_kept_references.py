"""Kept references: the same code of the same owner, so many jobs, and never more than have room."""

import pytest

from kbd.daemon.executor.kept_references import Cast, KeptReferences, reference_key
from kbd.daemon.executor.protocol import DeviceTarget, Evaluate, StageLimits, WorkloadPlan
from kbd.daemon.executor.runner_process import RunnerProcess
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.manifest import Evaluation, KernelCode
from kbd.outbox.verdict import Blame, EvaluationStatus

CPU = DeviceTarget(kind="cpu")


def kernel(source="def f(): pass", kind="torch"):
    return KernelCode(kernel_type=kind, source_code=source)


def request(reference, candidate=None):
    return Evaluate(
        job_id="j",
        candidate=candidate or kernel(),
        reference=reference,
        workloads=(WorkloadPlan(name="w"),),
        evaluation=Evaluation(),
        seconds_left=10,
        limits=StageLimits(load_s=1, correctness_s=1, timing_s=1, timing_budget_s=1),
    )


@pytest.fixture
def started(fake_nursery, tmp_path, on_loop):
    """Starts runners; what a test leaves is ended."""
    runners = []

    async def start():
        runners.append(await RunnerProcess.start(fake_nursery, tmp_path / f"runner-{len(runners)}", CPU))
        return runners[-1]

    yield start

    async def end():
        for runner in runners:
            await runner.end()

    on_loop(end())


def test_a_kept_runner_is_taken_once_and_with_its_uses(started, on_loop):
    kept = KeptReferences(most=2, uses=3)

    async def story():
        runner = await started()
        await kept.keep("key", runner, 1)
        assert kept.pids == {runner.process.pid}
        assert kept.take("another key") is None
        assert kept.take("key") == (runner, 1)
        assert kept.take("key") is None
        assert kept.pids == set()

    on_loop(story())


def test_the_oldest_gives_way(started, on_loop):
    kept = KeptReferences(most=2, uses=3)

    async def story():
        first, second, third = [await started() for _ in range(3)]
        for name, runner in (("a", first), ("b", second), ("c", third)):
            await kept.keep(name, runner, 1)
        assert [runner.process.alive for runner in (first, second, third)] == [False, True, True]
        assert kept.take("a") is None

    on_loop(story())


def test_one_that_died_meanwhile_is_not_given_out(started, on_loop):
    kept = KeptReferences(most=2, uses=3)

    async def story():
        runner = await started()
        await kept.keep("key", runner, 1)
        await runner.process.kill()
        assert kept.take("key") is None
        other = await started()
        await kept.keep("key", other, 1)
        assert kept.pids == {other.process.pid}, "it is not kept for ever either"

    on_loop(story())


def test_closing_ends_them(started, on_loop):
    kept = KeptReferences(most=2, uses=3)

    async def story():
        runner = await started()
        await kept.keep("key", runner, 1)
        await kept.close()
        return runner.process.alive, runner.folder.exists()

    assert on_loop(story()) == (False, False)


def test_a_runner_serves_so_many_jobs():
    kept = KeptReferences(most=2, uses=3)
    assert [kept.wants(uses) for uses in (1, 2, 3)] == [True, True, False]


def test_the_same_code_of_the_same_owner_has_one_key():
    assert reference_key(request(kernel()), "ann") == reference_key(request(kernel()), "ann")
    assert reference_key(request(kernel()), "ann") != reference_key(request(kernel()), "bob")
    assert reference_key(request(kernel()), "ann") != reference_key(request(kernel("def g(): pass")), "ann")


STREAMS = kernel("import torch\nside = torch.cuda.Stream()")


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [(None, None), (kernel("void f();", "cuda"), None), (STREAMS, None), (kernel(), STREAMS)],
)
def test_what_is_not_kept_has_no_key(reference, candidate):
    assert reference_key(request(reference, candidate), "ann") is None


@pytest.mark.parametrize("status", list(EvaluationStatus))
def test_only_verdicts_that_leave_it_clean_let_it_live(started, on_loop, status):
    async def story():
        return Cast({"reference": await started()}, "key").outlives(Verdict(status=status))

    clean = {"passed", "suspect", "compile_error", "incorrect_output", "incorrect_shape", "incorrect_dtype"}
    assert on_loop(story()) is (status.value in clean | {"non_finite"})


def test_no_verdict_no_key_or_no_process_is_no_life(started, on_loop):
    async def story():
        runner = await started()
        passed = Verdict(status=EvaluationStatus.PASSED)
        unknown = Cast({"reference": runner}).outlives(passed)
        unjudged = Cast({"reference": runner}, "key").outlives(None)
        await runner.process.kill()
        return unknown, unjudged, Cast({"reference": runner}, "key").outlives(passed)

    assert on_loop(story()) == (False, False, False)


@pytest.mark.parametrize(
    ("uses", "blame", "again"), [(1, "reference", True), (0, "reference", False), (1, "candidate", False)]
)
def test_a_used_runner_alone_convicts_no_reference(uses, blame, again):
    verdict = Verdict(status=EvaluationStatus.INVALID_REFERENCE, blame=Blame(blame))
    assert Cast({}, "key", uses).must_play_again(verdict) is again
