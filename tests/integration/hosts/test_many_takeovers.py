"""Two hosts, one spool: round after round its owner is paused or killed, or its server hangs or is unmounted.

Minutes, so only where `KBD_TAKEOVERS` says how many rounds (with `KBD_TAKEOVERS_SEED` always the same ones).
"""

import functools
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from kbd.inbox.spool import Spool
from tests import waiting

ROUNDS = int(os.environ.get("KBD_TAKEOVERS", "0"))
LIMIT_S = 120
until = functools.partial(waiting.until, limit_s=LIMIT_S)
LEASE_S = 3
JOBS_A_ROUND = 4
JOB = (Path(__file__).parents[2] / "double.yaml").read_text()
SLOW_JOB = JOB.replace("return x + x", "import time; time.sleep(0.1); return x + x")

pytestmark = [
    pytest.mark.skipif(ROUNDS == 0, reason="set KBD_TAKEOVERS to a number of rounds"),
    pytest.mark.timeout(300 + 120 * ROUNDS),
]


class Host:
    """A daemon on a mount of its own."""

    def __init__(self, daemon, mount):
        self.daemon, self.mount = daemon, mount
        daemon.spool = Spool(mount.point)
        self.process = None

    def start(self):
        if self.process is None or self.process.poll() is not None:
            self.process = self.daemon.start(KBD_LEASE_S=str(LEASE_S))

    @property
    def owns(self):
        """What it says itself; what one says that was killed is not believed."""
        try:
            said = json.loads((self.daemon.state / "daemon.json").read_text())
        except (FileNotFoundError, ValueError):
            return False
        alive = self.process.poll() is None and said.get("pid") == self.process.pid
        return alive and said.get("role") == "owner"

    def ended(self):
        code = self.process.wait(LIMIT_S)
        words = self.process.stdout.read().decode()
        return code, words


def paused(owner, other):
    owner.process.send_signal(signal.SIGSTOP)
    until(lambda: other.owns, "a takeover")
    owner.process.send_signal(signal.SIGCONT)
    code, words = owner.ended()
    assert (code, "nothing is lost" in words, "Traceback" in words) == (1, True, False), words


def killed(owner, other):
    owner.process.kill()
    owner.ended()
    until(lambda: other.owns, "a takeover")


def its_server_hangs(owner, other):
    owner.mount.hang()
    until(lambda: other.owns, "a takeover")
    owner.mount.go_on()
    code, words = owner.ended()
    assert (code, "Traceback" in words) == (1, False), words


def unmounted(owner, other):
    owner.mount.unmount()
    until(lambda: other.owns, "a takeover")
    owner.mount.mount()
    code, words = owner.ended()
    assert (code, "Traceback" in words) == (1, False), words


def test_every_job_has_one_result_whatever_happens_to_owners(make_daemon, make_mount):
    random.seed(os.environ.get("KBD_TAKEOVERS_SEED"))
    first, second = make_daemon(), make_daemon()
    truth = Spool(first.root / "spool")
    hosts = [Host(daemon, make_mount(truth.root)) for daemon in (first, second)]
    names, inodes = [], {}
    for number in range(ROUNDS):
        for host in hosts:
            host.start()
        owner = until(lambda: next((host for host in hosts if host.owns), None), "an owner")
        (other,) = [host for host in hosts if host is not owner]
        for job in range(JOBS_A_ROUND):
            names.append(f"r{number}-{job}")
            random.choice(hosts).daemon.deliver(f"{names[-1]}.yaml", SLOW_JOB)
        time.sleep(random.uniform(0, 3))  # somewhere in the middle of their work
        fault = random.choice([paused, killed, its_server_hangs, unmounted])
        print(f"round {number}: {fault.__name__}")
        fault(owner, other)
        found = {path.stem: path.stat().st_ino for path in truth.outbox.glob("*.json")}
        assert found.items() >= inodes.items(), "written once"
        inodes = found
    for host in hosts:
        host.start()
    until(lambda: len(list(truth.outbox.glob("*.json"))) == len(names), "all results")
    results = {path.stem: json.loads(path.read_text())["status"] for path in truth.outbox.glob("*.json")}
    assert results == dict.fromkeys(names, "passed")
    until(lambda: not list(truth.claimed.rglob("*.yaml")), "all are filed")
    assert sorted(path.stem for path in truth.done.rglob("*.yaml")) == sorted(names)
    for host in hosts:
        host.daemon.end()
