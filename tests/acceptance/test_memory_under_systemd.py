"""Limits of memory where systemd hands over cgroups of version 2: in a Linux of its own, which every host has."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "systemd"
LIMIT_S = 550
RUNNER_BYTES = 640 << 20


@pytest.fixture
def findings(tmp_path):
    if os.environ.get("KBD_TEST_UML") != "1":
        pytest.skip("boots a Linux as a process: ask for it with KBD_TEST_UML=1")
    if shutil.which("linux.uml") is None:
        pytest.skip("linux.uml is not installed (on Debian: user-mode-linux)")
    if os.geteuid() != 0:
        pytest.skip("laying a layer over the file system needs root")
    ended = subprocess.run(
        [SCRIPTS / "uml.sh", tmp_path / "machine", sys.executable, SCRIPTS / "memory.sh"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert ended.returncode == 0, ended.stderr
    print(ended.stdout)
    return dict(line.split("=", 1) for line in ended.stdout.splitlines() if "=" in line)


@pytest.mark.systemd
@pytest.mark.timeout(600)
def test_processes_that_together_want_too_much_end_alone(findings):
    herd, honest = json.loads(findings["herd"]), json.loads(findings["honest"])
    assert "cgroup" in herd["isolation"]["layers"]
    assert (herd["status"], herd["blame"]) == ("out_of_memory", "candidate")
    assert herd["error"]["memory"]["limit_bytes"] == RUNNER_BYTES
    assert "KBD_RUNNER_MEMORY_BYTES" in herd["error"]["hint"]
    assert honest["status"] == "passed", "the daemon goes on"
    assert (findings["restarts"], findings["health"]) == ("0", "healthy: 0 running, 0 waiting")
    (isolation,) = (
        check for check in json.loads(findings["doctor"])["checks"] if check["name"] == "isolation"
    )
    assert "cgroup" not in isolation["finding"]
    assert findings["result"] == "success"
