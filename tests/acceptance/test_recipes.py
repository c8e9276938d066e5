"""The recipes of examples/recipes, as their readers use them."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
RUN_HERE = {"deliver.sh", "parallel.sh", "make/Makefile", "training_loop.py"}
RUN_IN_SLURM = {"slurm/submit.sbatch", "slurm/daemon.sbatch", "slurm/single-node.sh"}

JOB = """
reference: {{kernel_type: torch, source_code: "def f(x): return 2 * x"}}
candidate: {{kernel_type: torch, source_code: "def f(x): return {body}"}}
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [64], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 2, num_trials: 5}}
"""
REFERENCE = """
import torch

class Model(torch.nn.Module):
    def forward(self, x):
        return 2 * x

def get_inputs():
    return [torch.rand(64)]

def get_init_inputs():
    return []
"""
CANDIDATE = """
import torch

class ModelNew(torch.nn.Module):
    def forward(self, x):
        return {body}
"""


def with_places(user):
    """Somebody who has the spool and the state elsewhere than by default."""
    user.environment["KBD_SPOOL"] = str(user.home / "spool")
    user.environment["KBD_STATE"] = str(user.home / "state")
    user.kbd("init")
    return user


@pytest.fixture
def user(user):
    return with_places(user)


@pytest.fixture(scope="module")
def reader(make_user):
    """Somebody whose daemon runs, for all recipes."""
    reader = with_places(make_user())
    with reader.daemon():
        yield reader


together = pytest.mark.xdist_group("recipes")


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def test_every_recipe_is_run():
    there = {str(path.relative_to(RECIPES)) for path in RECIPES.rglob("*") if path.is_file()}
    assert {name for name in there if "__pycache__" not in name} == RUN_HERE | RUN_IN_SLURM | {"README.md"}


@together
def test_a_shell_and_nothing_else(reader):
    job = reader.writes("double.yaml", JOB.format(body="x + x"))
    result = json.loads(reader.types(RECIPES / "deliver.sh", job).stdout)
    assert (result["job_id"], result["status"]) == ("double", "passed")
    named = reader.writes("file.yaml", 'id: "own-id"\n' + JOB.format(body="x + x"))
    assert json.loads(reader.types(RECIPES / "deliver.sh", named).stdout)["job_id"] == "own-id"
    job = {
        "labels": {"id": "file"},
        **yaml.safe_load(JOB.format(body="{'id': x + x}['id']")),
        "id": "json-id",
    }
    for name, text in {"file.json": json.dumps(job, indent=2), "again.json": json.dumps(job)}.items():
        document = reader.writes(name, text.replace("json-id", f"{name}-id"))
        assert json.loads(reader.types(RECIPES / "deliver.sh", document).stdout)["job_id"] == f"{name}-id"


@together
def test_many_candidates_with_parallel(reader):
    need("parallel")
    reference = reader.writes("reference.py", REFERENCE)
    bodies = {"sum": "x + x", "half": "x / 2", "scaled": "x.mul(2)", "lost": "missing"}
    candidates = [reader.writes(f"{name}.py", CANDIDATE.format(body=body)) for name, body in bodies.items()]
    ended = reader.types(RECIPES / "parallel.sh", reference, *candidates, code=2)
    verdicts = dict(line.split()[:2] for line in ended.stdout.splitlines())
    assert verdicts == {
        "sum": "passed",
        "half": "incorrect_output",
        "scaled": "passed",
        "lost": "runtime_error",
    }
    exits = [line.split("\t")[6] for line in (reader.home / "parallel.log").read_text().splitlines()[1:]]
    assert sorted(exits) == ["0", "0", "1", "1"]


@together
def test_results_as_targets_of_make(reader):
    need("make")
    shutil.copy(RECIPES / "make" / "Makefile", reader.home)
    reader.writes("kernels/good.yaml", JOB.format(body="x + x"))
    wrong = reader.writes("kernels/wrong.yaml", JOB.format(body="x + 2"))

    def statuses():
        return {
            path.stem: json.loads(path.read_text())["status"] for path in (reader.home / "results").iterdir()
        }

    reader.types("make", "-j2")
    assert statuses() == {"good": "passed", "wrong": "incorrect_output"}
    assert "Nothing to be done" in reader.types("make").stdout
    wrong.write_text(JOB.format(body="x * 2"))
    later = (reader.home / "results" / "wrong.json").stat().st_mtime + 2
    os.utime(wrong, (later, later))
    judged = reader.types("make").stdout
    assert "good-" not in judged
    assert statuses() == {"good": "passed", "wrong": "passed"}
    reader.writes("kernels/broken.yaml", "nonsense: true")
    assert "is no job" in reader.types("make", code=2).stderr


@together
def test_a_training_loop(reader):
    lines = reader.types(
        "python", RECIPES / "training_loop.py", reader.environment["KBD_SPOOL"]
    ).stdout.splitlines()
    assert len(lines) == 12
    for line in lines:
        _, status, reward, code = line.split(maxsplit=3)
        assert (status == "passed") == (code not in ("x * 2", "2 ** x")), line
        assert (float(reward) > 0) == (status == "passed")


@pytest.fixture
def slurm(user):
    """A real Slurm of this host alone."""
    if os.environ.get("KBD_TEST_SLURM") != "1":
        pytest.skip("starts a real Slurm: ask for it with KBD_TEST_SLURM=1")
    for program in ("slurmctld", "slurmd", "munged"):
        need(program)
    if os.geteuid() != 0:
        pytest.skip("slurmd and slurmctld need root here")
    folder = user.home / "slurm"
    user.types(RECIPES / "slurm" / "single-node.sh", "start", folder)
    user.environment["SLURM_CONF"] = str(folder / "slurm.conf")
    yield user
    user.types("scancel", "--user=root")
    user.types(RECIPES / "slurm" / "single-node.sh", "stop", folder)


def batch(user, name, *arguments, **environment):
    exported = ",".join(["ALL", *(f"{key}={value}" for key, value in environment.items())])
    script = RECIPES / "slurm" / name
    return user.types("sbatch", "--parsable", f"--export={exported}", script, *arguments).stdout.strip()


def state_of(user, job):
    said = user.types("scontrol", "show", "job", job).stdout
    return dict(pair.split("=", 1) for pair in said.split() if "=" in pair)


def wait_for(user, job, *states):
    while (state := state_of(user, job))["JobState"] not in states:
        user.types("sleep", "0.2")
    return state


@pytest.mark.slurm
def test_slurm_gives_each_daemon_a_gpu_and_jobs_are_judged_there(slurm):
    user = slurm
    other = user.home / "other"
    user.kbd("init", "--spool", other)
    daemons = [
        batch(user, "daemon.sbatch", "--device", "cpu"),
        batch(user, "daemon.sbatch", "--device", "cpu", KBD_SPOOL=other, KBD_STATE=user.home / "other-state"),
    ]
    for daemon in daemons:
        wait_for(user, daemon, "RUNNING")
    third = batch(user, "daemon.sbatch", "--device", "cpu")
    jobs = [
        user.writes(f"{name}.yaml", JOB.format(body=body))
        for name, body in {"a": "x + x", "b": "3 * x"}.items()
    ]
    submitted = batch(user, "submit.sbatch", *jobs)
    ended = wait_for(user, submitted, "COMPLETED", "FAILED", "TIMEOUT")
    said = (user.home / f"kbd-submit-{submitted}.out").read_text()
    assert (ended["JobState"], ended["ExitCode"]) == ("FAILED", "1:0"), f"one did not pass: {said}"
    assert {tuple(line.split()[:2]) for line in said.splitlines() if not line.startswith("submitted")} == {
        ("a", "passed"),
        ("b", "incorrect_output"),
    }
    good = batch(user, "submit.sbatch", jobs[0])
    assert wait_for(user, good, "COMPLETED", "FAILED")["JobState"] == "COMPLETED"
    waiting = state_of(user, third)
    assert (waiting["JobState"], waiting["Reason"]) == ("PENDING", "Resources"), "both GPUs are taken"
    outputs = [(user.home / f"kbd-daemon-{daemon}.out").read_text() for daemon in daemons]
    assert {output.splitlines()[0] for output in outputs} == {"GPUs of this job: 0", "GPUs of this job: 1"}
    user.types("scancel", third, *daemons)
    for daemon in daemons:
        wait_for(user, daemon, "CANCELLED")
    while json.loads(user.kbd("status", "--json").stdout)["daemon"]["running"]:
        user.types("sleep", "0.2")  # it was told to stop, and stops
