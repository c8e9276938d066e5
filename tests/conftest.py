"""What all tests share: real daemons in real processes, and how hypothesis behaves."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from kbd.backends.build_tools import find_nvcc
from kbd.inbox.spool import Spool

DAEMON_LIMIT_S = 280

# Hosts of tests are busy: how long an example takes says nothing about the code.
settings.register_profile("kbd", deadline=None)
settings.load_profile("kbd")


@dataclass
class Daemon:
    """A spool, a state folder, and ways to run a daemon on them."""

    root: Path

    def __post_init__(self):
        self.spool = Spool.create(self.root / "spool")
        self.state = self.root / "state"

    def command(self, *flags, device="cpu"):
        named = ["--spool", str(self.spool.root), "--state", str(self.state)]
        return [sys.executable, "-m", "kbd.daemon.cli.main", "run", *named, "--device", device, *flags]

    def start(self, *flags, device="cpu", **environment):
        return subprocess.Popen(
            self.command(*flags, device=device),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )

    def run_once(self, device="cpu", **environment):
        """Everything in the inbox, then the daemon's end; its output is shown when it fails."""
        daemon = self.start("--once", device=device, **environment)
        output, _ = daemon.communicate(timeout=DAEMON_LIMIT_S)
        assert daemon.returncode == 0, output.decode()
        return output.decode()

    def deliver(self, name, text):
        """As the safe recipe has it: write under a dot name, rename."""
        hidden = self.spool.inbox / f".{name}.tmp"
        hidden.write_text(text)
        hidden.rename(self.spool.inbox / name)

    def deliver_sample(self, case):
        hidden = self.spool.inbox / f".{case.name}.tmp"
        shutil.copytree(case, hidden, ignore=shutil.ignore_patterns("expected.json"))
        hidden.rename(self.spool.inbox / f"{case.name}.job")

    def results(self):
        return {path.stem: json.loads(path.read_text()) for path in self.spool.outbox.glob("*.json")}

    def log(self):
        lines = (self.state / "logs" / "daemon.log").read_text().splitlines()
        return [json.loads(line) for line in lines]


def expected_of(case, device):
    """What a sample's expected.json says for a kind of device: its own part wins over what holds everywhere."""
    expected = json.loads((case / "expected.json").read_text())
    by_device = {kind: expected.pop(kind, {}) for kind in ("cpu", "cuda")}
    return expected | by_device[device]


def check_sample(case, result, device):
    """Whether a result is what its sample expects on this kind of device."""
    expected = expected_of(case, device)
    if expected.get("needs") == "nvcc" and find_nvcc() is None:
        pytest.skip("nvcc is not installed")
    found = {name: result[name] for name in ("status", "stage", "blame")}
    assert found == {name: expected[name] for name in found}, result["error"]
    if "message" in expected:
        assert expected["message"] in result["error"]["message"]
    if "log" in expected:
        assert expected["log"] in result["logs"]["candidate"]
    if "note" in expected:
        assert any(expected["note"] in note for note in result["notes"])
    if "weak_test" in expected:
        assert result["weak_test"] == expected["weak_test"]
    if "oracle" in expected:
        assert result["workloads"][0]["correctness"]["oracle"].startswith(expected["oracle"])
    if "launches" in expected:
        launches = result["workloads"][0]["performance"]["launches"]
        assert [launch["kernel"] for launch in launches] == expected["launches"]
    if result["status"] == "passed":
        assert result["error"] is None
    if result["status"] == "passed" and expected.get("timed", True):
        assert result["workloads"][0]["performance"]["candidate"]["as_called"]["median"] > 0


@pytest.fixture(scope="session")
def sample_check():
    return check_sample


@pytest.fixture
def daemon(tmp_path):
    return Daemon(tmp_path)


@pytest.fixture(scope="session")
def make_daemon(tmp_path_factory):
    return lambda: Daemon(tmp_path_factory.mktemp("daemon"))
