"""A reference that works in place and returns nothing is compared by its inout arguments."""

import json
import subprocess
import sys

JOB = """
version: 1
reference: {kernel_type: torch, source_code: "def f(x):\\n    x.add_(1)"}
candidate: {kernel_type: torch, source_code: "def f(x):\\n    pass"}
io:
  args:
    - {name: x, type: tensor, role: inout, tensor_spec: {shape: [64], dtype: float32}}
evaluation: {num_correct_trials: 3, mode: correctness}
"""


def test_a_candidate_that_does_nothing_does_not_pass(tmp_path):
    from kbd.inbox.spool import Spool

    spool = Spool.create(tmp_path / "spool")
    (spool.inbox / ".j.tmp").write_text(JOB)
    (spool.inbox / ".j.tmp").rename(spool.inbox / "j.yaml")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "kbd.daemon.cli.main",
            "run",
            "--once",
            "--device",
            "cpu",
            "--spool",
            str(spool.root),
            "--state",
            str(tmp_path / "state"),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    result = json.loads((spool.outbox / "j.json").read_text())
    assert result["status"] != "passed", result
