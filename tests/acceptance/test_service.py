"""The unit that `kbd init --system` writes, under a real systemd: started, watched, reloaded, killed, stopped."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

MACHINE = Path(__file__).parent / "systemd" / "machine.sh"
LIMIT_S = 200
SPOOL = "/srv/kbd/spool"
JOB = """
reference: {{kernel_type: torch, source_code: "def f(x): return x + x"}}
candidate:
  kernel_type: torch
  source_code: |
    import time
    def f(x):
        time.sleep({pause_s})
        return 2 * x
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [8], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 1, num_trials: 2}}
"""


class Machine:
    """A container with systemd as its first process."""

    def __init__(self, folder):
        self.folder = folder

    def start(self):
        self._script("start", self.folder, sys.executable)

    def stop(self):
        self._script("stop", self.folder)

    def types(self, line):
        """One line for a shell in it, which must end with 0; its stdout and stderr together."""
        bin_folder = Path(sys.executable).parent
        settings = [f"PATH={bin_folder}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]
        return self._script("run", self.folder, "env", "-i", *settings, "bash", "-c", line)

    def kbd(self, line):
        return self.types(f"kbd {line} --config /etc/kbd/config.toml")

    def shows(self, name):
        """A property of the unit."""
        return self.types(f"systemctl show kbd --value -p {name}").strip()

    def waits_until(self, holds):
        deadline = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < deadline, self.types("journalctl -u kbd --no-pager | tail -40")
            time.sleep(0.2)

    def delivers(self, name, pause_s):
        hidden = f"{SPOOL}/inbox/.{name}.tmp"
        text = JOB.format(pause_s=pause_s)
        self.types(f"cat > {hidden} << 'END'\n{text}\nEND\nmv {hidden} {SPOOL}/inbox/{name}.yaml")

    def job(self, name):
        jobs = json.loads(self.kbd("status --json"))["jobs"]
        return next((job for job in jobs if job["job_id"] == name), {"state": None})

    def _script(self, *arguments):
        # Not a pipe: what is started here outlives the script and would keep it open.
        said = self.folder.with_suffix(".said")
        with said.open("wb") as file:
            ended = subprocess.run(
                [MACHINE, *map(str, arguments)], stdout=file, stderr=subprocess.STDOUT, timeout=LIMIT_S
            )
        assert ended.returncode == 0, f"{arguments}: {said.read_text()}"
        return said.read_text()


@pytest.fixture
def machine(tmp_path):
    if os.environ.get("KBD_TEST_SYSTEMD") != "1":
        pytest.skip("boots a systemd in a container: ask for it with KBD_TEST_SYSTEMD=1")
    if shutil.which("systemd-nspawn") is None:
        pytest.skip("systemd-nspawn is not installed")
    if os.geteuid() != 0:
        pytest.skip("systemd-nspawn needs root")
    found = Machine(tmp_path / "machine")
    found.start()
    yield found
    found.stop()


def restarted(machine, times):
    return machine.shows("NRestarts") == str(times) and machine.shows("ActiveState") == "active"


@pytest.mark.systemd
@pytest.mark.timeout(600)
def test_a_service_from_its_installation_to_its_drain(machine):
    advice = machine.types(f"kbd init --system {SPOOL}")
    steps = [line.strip() for line in advice.splitlines() if line.startswith("  ")]
    assert [step.split()[0] for step in steps] == ["useradd", "chown", "systemctl"]
    for step in steps:
        machine.types(step)
    assert machine.kbd("health") == "healthy: 0 running, 0 waiting\n", "READY=1 means that jobs are taken"
    assert machine.shows("StatusText") == "0 running, 0 waiting"

    machine.delivers("first", pause_s=0)
    assert machine.kbd("wait first").split()[:2] == ["first", "passed"]
    isolation = json.loads(machine.kbd("show first --json"))["isolation"]
    hardly_here = [missing for missing in isolation["missing"] if not missing.startswith("cgroup")]
    assert hardly_here == [], "the unit leaves open what the sandbox needs"
    assert machine.types("ps -o user= $(systemctl show kbd --value -p MainPID)").strip() == "kbd"

    machine.types(
        "sed -i 's/^# queue_limit = .*/queue_limit = 7/' /etc/kbd/config.toml && systemctl reload kbd"
    )
    machine.waits_until(lambda: "limits.queue_limit" in machine.types("journalctl -u kbd --no-pager"))

    machine.delivers("slow", pause_s=3)
    machine.waits_until(lambda: machine.job("slow")["state"] == "validating")
    machine.types("systemctl kill --signal=KILL --kill-whom=main kbd")
    machine.waits_until(lambda: restarted(machine, 1))
    assert machine.kbd("wait slow").split()[:2] == ["slow", "passed"]
    assert machine.job("slow")["attempts"] == 2

    machine.types(
        "mkdir /etc/systemd/system/kbd.service.d && "
        "printf '[Service]\\nWatchdogSec=8\\n' > /etc/systemd/system/kbd.service.d/quick.conf && "
        "systemctl daemon-reload && systemctl restart kbd"
    )
    machine.types("kill -STOP $(systemctl show kbd --value -p MainPID)")
    machine.waits_until(lambda: "Watchdog timeout" in machine.types("journalctl -u kbd --no-pager"))
    machine.waits_until(lambda: restarted(machine, 1))

    machine.delivers("endless", pause_s=1000)
    machine.waits_until(lambda: machine.job("endless")["state"] == "validating")
    machine.types("systemctl stop kbd")
    assert (machine.shows("Result"), machine.shows("ExecMainStatus")) == ("success", "0")
    assert machine.job("endless")["state"] == "submitted", "it was put back"

    machine.types("systemctl start kbd")
    machine.kbd("cancel endless")
    machine.kbd("drain")
    machine.waits_until(lambda: machine.shows("ActiveState") == "inactive")
    assert (machine.shows("Result"), machine.shows("NRestarts")) == ("success", "0")
