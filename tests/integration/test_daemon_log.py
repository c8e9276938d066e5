"""The daemon's log over a whole run: every record says what was done, and for which job."""

import ast
import json
from pathlib import Path

import pytest

DAEMON = Path(__file__).parents[2] / "daemon"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
JOB = """\
reference: {{kernel_type: torch, source_code: "def f(x): return 2 * x"}}
candidate:
  kernel_type: torch
  source_code: |
    def f(x):
        {body}
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [64], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 2, num_trials: 5}}
timeout: 60
"""
BODIES = {
    "passes-well": "return x + x",
    "computes-wrong": "return 3 * x",
    "kills-itself": "import os; os.abort()",
    "prints-much": "print('word ' * 10); return x + x",
}


def log_calls(source):
    """Calls of a module's `log`, with their line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=attr)) if attr in LEVELS:
                yield node


@pytest.fixture(scope="module")
def ran(make_daemon):
    """A daemon whose log folder cannot take output of jobs."""
    daemon = make_daemon()
    (daemon.state / "logs").mkdir(parents=True)
    (daemon.state / "logs" / "jobs").write_text("in the way")
    for name, body in BODIES.items():
        daemon.deliver(f"{name}.yaml", JOB.format(body=body))
    daemon.deliver("is-no-job.yaml", "candidate: 1\n")
    daemon.run_once()
    return daemon


def test_every_call_of_a_log_names_an_action():
    calls = [
        (path.relative_to(DAEMON), call.lineno, {keyword.arg for keyword in call.keywords})
        for path in DAEMON.rglob("*.py")
        for call in log_calls(path.read_text())
    ]
    assert len(calls) > 20
    assert [(path, line) for path, line, given in calls if "action" not in given] == []


def test_every_record_has_an_action(ran):
    assert [record for record in ran.log() if not record.get("action")] == []


def test_a_record_about_a_job_has_its_id(ran):
    names = {*BODIES, "is-no-job"}
    told = set()
    for record in ran.log():
        about = {name for name in names if name in json.dumps(record)}
        if about:
            assert {record.get("job")} == about, record
        told |= about
    assert told == names


def test_the_way_of_a_job_can_be_read_from_it(ran):
    records = [record for record in ran.log() if record.get("job") == "passes-well"]
    actions = [record["action"] for record in records if record["action"] != "stage"]
    assert actions == ["claimed", "attempt", "finished", "published"]
    assert [record["stage"] for record in records if "stage" in record][-2:] == ["correctness", "timing"]


def test_output_that_cannot_be_kept_harms_no_job(ran):
    statuses = {name: result["status"] for name, result in ran.results().items()}
    assert statuses == {
        "passes-well": "passed",
        "computes-wrong": "incorrect_output",
        "kills-itself": "crashed",
        "prints-much": "passed",
        "is-no-job": "invalid_job",
    }
    refused = [record["job"] for record in ran.log() if record["action"] == "job_log_failed"]
    assert refused == ["prints-much"], "told once"
    assert "word word" in ran.results()["prints-much"]["logs"]["candidate"]
