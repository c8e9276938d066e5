"""A real daemon isolates its runners, says so, and refuses to run where it has less than it was told to have."""

import json
import shutil
import subprocess
import sys

import pytest

from kbd.daemon.executor.sandbox.layers import Layer, Level

RELU = """
candidate:
  kernel_type: torch
  source_code: |
    import torch
    def entry(x):
        return torch.relu(x)
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [64], dtype: float32}}]}
"""
# In this user namespace nobody can make another one, and there is nobody to change into.
POOR_HOST = [
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
    "-",
]
LIMIT_S = 120


@pytest.fixture
def on_a_poor_host(daemon):
    """Run the daemon where half of the layers are not to be had; skip where not even that can be made."""
    if shutil.which("unshare") is None or subprocess.run([*POOR_HOST, "true"], check=False).returncode:
        pytest.skip("no user namespace can be made here")

    def run(**environment):
        return subprocess.run(
            [
                *POOR_HOST,
                "env",
                *(f"{name}={value}" for name, value in environment.items()),
                *daemon.command("--once"),
            ],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    return run


def test_every_result_says_what_was_in_force(daemon):
    daemon.deliver("relu.yaml", RELU)
    daemon.run_once()
    result = daemon.results()["relu"]
    assert result["status"] == "passed", result["error"]
    isolation = result["isolation"]
    assert set(isolation["layers"]) <= {layer.value for layer in Layer}
    assert isolation["layers"] or isolation["missing"]
    told = json.loads(daemon.spool.status_file.read_text())["isolation"]
    assert told["cpu"]["missing"] == isolation["missing"]
    assert told["cpu"]["level"] in set(Level)


def test_a_poor_host_is_refused_with_what_is_missing(daemon, on_a_poor_host):
    daemon.deliver("relu.yaml", RELU)
    done = on_a_poor_host(KBD_ISOLATION_MINIMUM="namespaces")
    assert done.returncode == 1
    assert "isolation.minimum is namespaces, this host gives process" in done.stderr
    assert "user namespace: " in done.stderr
    assert "Traceback" not in done.stderr
    assert daemon.results() == {}


def test_a_poor_host_still_judges_with_what_it_has(daemon, on_a_poor_host):
    daemon.deliver("relu.yaml", RELU)
    done = on_a_poor_host(KBD_ISOLATION_MINIMUM="process")
    assert done.returncode == 0, done.stderr
    result = daemon.results()["relu"]
    assert result["status"] == "passed", result["error"]
    assert "seccomp" in result["isolation"]["layers"]
    assert any(line.startswith("user namespace: ") for line in result["isolation"]["missing"])


def test_a_level_that_does_not_exist_is_a_mistake_of_usage(daemon):
    process = daemon.start("--once", KBD_ISOLATION_MINIMUM="very much")
    output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2
    assert b"KBD_ISOLATION_MINIMUM must be one of none, process, namespaces, full" in output
    assert b"Traceback" not in output


@pytest.mark.parametrize("name", ["steals_from_proc", "looks_for_spool_and_database"])
def test_the_samples_that_steal_nothing_would_steal_without_a_sandbox(daemon, samples_of, name):
    """A thief that finds nothing proves something only if it looks in the right places."""
    (case,) = [case for case in samples_of("cpu", log_lacks="STOLEN") if case.name == name]
    daemon.deliver_sample(case)
    daemon.spool.status_file.write_text("{}")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import candidate; candidate.ModelNew()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(case)], capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    assert "STOLEN" in done.stdout
