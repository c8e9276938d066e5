"""From quarantine back into the queue, with a real daemon."""

import time

import pytest

from kbd.inbox.quarantine_contents import QuarantineContents

GOOD = """
candidate: {kernel_type: torch, source_code: 'def f(x): return x + 1'}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [8], dtype: float32}}]}
evaluation: {num_correct_trials: 1, num_trials: 3}
"""
LIMIT_S = 200


@pytest.mark.xdist_group("standing")
def test_a_mended_job_and_one_whose_id_was_taken(standing):
    contents = QuarantineContents(standing.spool)

    def ours():
        return {each.name: each for each in contents.all() if each.name in ("wrong.yaml", "fine.yaml")}

    def quarantined(name):
        deadline = time.monotonic() + LIMIT_S
        while name not in ours():
            assert time.monotonic() < deadline, f"waited {LIMIT_S} s for {name} in quarantine"
            time.sleep(0.1)
        return ours()[name]

    standing.deliver("wrong.yaml", GOOD.replace("shape", "shap"))
    standing.deliver("fine.yaml", GOOD)
    before = standing.await_results("wrong", "fine")
    assert statuses(before) == {"wrong": "invalid_job", "fine": "passed"}
    standing.deliver("fine.yaml", GOOD.replace("+ 1", "+ 2"))
    wrong, fine = quarantined("wrong.yaml"), quarantined("fine.yaml")
    assert (wrong.code, fine.code) == ("invalid_job", "id_conflict")
    contents.path(wrong).write_text(GOOD)
    assert contents.release("wrong.yaml", "right") == "right"
    assert contents.release("fine.yaml", "fine-2") == "fine-2"
    assert ours() == {}
    assert statuses(standing.await_results("right", "fine-2")) == {"right": "passed", "fine-2": "passed"}
    assert standing.await_results("wrong", "fine") == before


def statuses(results):
    return {name: result["status"] for name, result in results.items()}
