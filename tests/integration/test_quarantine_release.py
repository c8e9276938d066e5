"""From quarantine back into the queue, with a real daemon."""

import json

from kbd.inbox.quarantine_contents import QuarantineContents

GOOD = """
candidate: {kernel_type: torch, source_code: 'def f(x): return x + 1'}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [8], dtype: float32}}]}
evaluation: {num_correct_trials: 1, num_trials: 3}
"""


def test_a_mended_job_and_one_whose_id_was_taken(daemon):
    daemon.deliver("wrong.yaml", GOOD.replace("shape", "shap"))
    daemon.deliver("fine.yaml", GOOD)
    daemon.run_once()
    daemon.deliver("fine.yaml", GOOD.replace("+ 1", "+ 2"))
    daemon.run_once()
    assert {name: result["status"] for name, result in daemon.results().items()} == {
        "wrong": "invalid_job",
        "fine": "passed",
    }
    contents = QuarantineContents(daemon.spool)
    found = {each.name: each for each in contents.all()}
    assert {name: each.code for name, each in found.items()} == {
        "wrong.yaml": "invalid_job",
        "fine.yaml": "id_conflict",
    }
    contents.path(found["wrong.yaml"]).write_text(GOOD)
    assert contents.release("wrong.yaml", "right") == "right"
    assert contents.release("fine.yaml", "fine-2") == "fine-2"
    assert contents.all() == []
    before = json.dumps(daemon.results()["fine"])
    daemon.run_once()
    assert {name: result["status"] for name, result in daemon.results().items()} == {
        "wrong": "invalid_job",
        "right": "passed",
        "fine": "passed",
        "fine-2": "passed",
    }
    assert json.dumps(daemon.results()["fine"]) == before
