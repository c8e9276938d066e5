"""A newcomer's first day: an empty home, a first job, a mistake, a kernel that is wrong."""

import json
import subprocess
from pathlib import Path

import pytest

COMMAND_LIMIT_S = 200
# Recipes and the container are no jobs.
EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[2] / "examples").iterdir()
    if path.suffix in {".yaml", ".json", ".job"}
)

JOB = """
reference:
  kernel_type: torch
  source_code: |
    def f(x):
        return 2 * x
candidate:
  kernel_type: torch
  source_code: |
    def f(x):
        {body}
io:
  args:
    - {{name: x, type: tensor, tensor_spec: {{shape: [64], dtype: float32}}}}
evaluation: {{num_correct_trials: 2, num_trials: 5}}
"""
GOOD = JOB.format(body="return x + x")
WRONG = JOB.format(body="return 3 * x")
FOREVER = JOB.format(body="import time; time.sleep(1000)")
INVALID = "candidate: {kernel_type: torch}\nsurplus: 1\n"


def test_before_anything_is_set_up(user):
    assert "kbd init" in user.kbd("status", code=3).stderr
    user.kbd("init")
    assert "No jobs yet" in user.kbd("status").stdout
    assert "kbd run" in user.kbd("submit", "--wait", user.writes("a.yaml", GOOD), code=4).stderr
    assert "1 in the inbox" in user.kbd("status").stdout
    assert "kbd run" in user.kbd("wait", "a", code=4).stderr
    user.kbd("wait", "nothing", code=3)


def test_a_day_with_a_daemon(user):
    user.environment["KBD_GRACE_S"] = "1"  # for the job that runs when the day ends
    user.kbd("init")
    good, wrong = user.writes("good.yaml", GOOD), user.writes("wrong.yaml", WRONG)
    with user.daemon():
        assert user.kbd("submit", good).stdout == "good\n"
        assert user.kbd("wait", "good").stdout.split()[:2] == ["good", "passed"]
        line = user.kbd("submit", "--wait", wrong, code=1).stdout
        assert line.split()[:2] == ["wrong", "incorrect_output"]
        assert "running (pid" in user.kbd("status").stdout
        (device,) = json.loads(user.kbd("devices", "--json").stdout)["devices"]
        assert (device["key"], device["kind"], device["problem"]) == ("cpu0", "cpu", None)
        assert "cpu0" in user.kbd("devices").stdout
        assert "1 wrong" not in user.kbd("status").stdout
        both = user.kbd("wait", "wrong", "good", code=1).stdout.splitlines()
        assert {each.split()[0] for each in both} == {"good", "wrong"}
        user.kbd("submit", "--wait", "--timeout", "0.5", user.writes("forever.yaml", FOREVER), code=5)
        user.kbd("submit", user.writes("invalid.yaml", INVALID), code=6)
        (user.spool / "inbox" / ".invalid.tmp").write_text(INVALID)
        (user.spool / "inbox" / ".invalid.tmp").rename(user.spool / "inbox" / "invalid.yaml")
        assert user.kbd("wait", "invalid", code=6).stdout.split()[:2] == ["invalid", "invalid_job"]
        second = subprocess.run(
            ["kbd", "run"], env=user.environment, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "process id" in second.stderr
    assert "not running" in user.kbd("status").stdout
    assert "kbd run" in user.kbd("devices", code=4).stderr
    assert json.loads(user.kbd("show", "good", "--json").stdout)["status"] == "passed"
    assert (
        json.loads(user.kbd("show", "good", "--format", "v2").stdout)["kernel_exec_result"]["correctness"]
        is True
    )
    assert "blame: candidate" in user.kbd("show", "wrong").stdout
    statuses = {
        job["job_id"]: job["status"] for job in json.loads(user.kbd("status", "--json").stdout)["jobs"]
    }
    assert statuses == {
        "good": "passed",
        "wrong": "incorrect_output",
        "invalid": "invalid_job",
        "forever": None,
    }


@pytest.mark.xdist_group("settled")
def test_watching_what_a_job_prints(settled):
    talkative = "import time; print('\\x1b[2Jcalled', flush=True); time.sleep(1000)"
    settled.kbd("submit", settled.writes("watched.yaml", JOB.format(body=talkative)))
    with settled.starts("kbd", "logs", "watched", "--role", "candidate", "-f") as follower:
        assert follower.stdout.readline() == "\\x1b[2Jcalled\n", "while it runs"
        assert settled.kbd("logs", "watched", "--role", "candidate").stdout.startswith("\\x1b[2Jcalled\n")
        settled.kbd("cancel", "watched")
        assert follower.wait(COMMAND_LIMIT_S) == 0
    assert "\\x1b[2Jcalled" in settled.kbd("logs", "watched").stdout


def test_the_same_id_with_other_code_is_refused(user):
    user.kbd("init")
    user.kbd("submit", user.writes("a.yaml", GOOD))
    user.kbd("run", "--once", "--device", "cpu")
    user.kbd("submit", "--wait", user.writes("a.yaml", GOOD))
    assert "another id" in user.kbd("submit", user.writes("a.yaml", WRONG), code=6).stderr


@pytest.mark.xdist_group("settled")
def test_every_example_passes(settled):
    """The examples of the repository, submitted together."""
    ids = settled.kbd("submit", *EXAMPLES).stdout.split()
    assert len(ids) == len(EXAMPLES)
    lines = settled.kbd("wait", *ids).stdout.splitlines()
    assert {line.split()[1] for line in lines} == {"passed"}


def test_a_spool_that_was_named_is_never_made_by_the_daemon(user):
    ended = user.kbd("run", "--once", "--spool", user.home / "not-mounted", code=3)
    assert "kbd init" in ended.stderr
    assert not (user.home / "not-mounted").exists()


def test_the_default_spool_is_made_by_the_daemon(user):
    user.kbd("run", "--once", "--device", "cpu")
    assert (user.spool / ".kbd-spool").is_file()


@pytest.mark.parametrize("device", ["cuda"])
def test_a_device_that_is_not_here(user, device, monkeypatch):
    user.environment["CUDA_VISIBLE_DEVICES"] = ""
    assert "--device cpu" in user.kbd("run", "--once", "--device", device, code=1).stderr
