"""A daemon that is the first process of its namespace, as in a container."""

import shutil
import subprocess

import pytest

ALONE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child")
LIMIT_S = 200
JOB = """
reference: {kernel_type: torch, source_code: "def f(x): return 2 * x"}
candidate: {kernel_type: torch, source_code: "def f(x): return x + x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [8], dtype: float32}}]}
evaluation: {num_correct_trials: 1, num_trials: 2}
"""


def test_it_judges_as_process_1(daemon):
    if (
        shutil.which("unshare") is None
        or subprocess.run([*ALONE, "true"], capture_output=True).returncode != 0
    ):
        pytest.skip("unshare (util-linux) is not installed, or may not make namespaces here")
    daemon.deliver("a.yaml", JOB)
    ended = subprocess.run(
        [*ALONE, *daemon.command("--once")], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert daemon.results()["a"]["status"] == "passed", ended.stderr
