"""Casts: what lets a reference live on, and when it has to be played again."""

import pytest

from kbd.daemon.executor.casting import Cast
from kbd.daemon.judge.verdict import Verdict
from kbd.outbox.verdict import Blame, EvaluationStatus


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
