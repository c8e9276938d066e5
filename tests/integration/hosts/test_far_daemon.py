"""A daemon on a mount that shows no events and remembers what was; its users are on another mount.

One daemon for all tests, with a service manager that hears its signs of life.
"""

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from kbd.inbox.spool import Spool

LIMIT_S = 100
WATCHDOG_S = 2
QUICK = {"KBD_NETWORK_SCAN_INTERVAL_S": "1"}
JOB = (Path(__file__).parents[2] / "double.yaml").read_text()
SLOW_JOB = JOB.replace("return x + x", "import time; time.sleep(1); return x + x")
JOB_WITH_DATA = JOB.replace("dtype: float32}", "dtype: float32, data: {file: x.npy}}")
SLEEPER = JOB.replace("return x + x", "import time; time.sleep(1000)")

pytestmark = pytest.mark.xdist_group("far_daemon")


@dataclass
class Site:
    """The daemon, its mount, what the manager hears, and a host of users."""

    daemon: object
    mount: object
    manager: socket.socket
    client: object

    def hear(self, word):
        while word not in self.manager.recv(4096).decode():
            pass

    def hear_no_more(self):
        """Forget what was said before now."""
        self.manager.setblocking(False)
        try:
            while self.manager.recv(4096):
                pass
        except BlockingIOError:
            self.manager.settimeout(LIMIT_S)

    def tells(self, action, **about):
        """Wait for a record of the daemon's log; returns its reason."""
        wanted = {"action": action} | about
        deadline = time.monotonic() + LIMIT_S
        while not (found := [record for record in self.daemon.log() if wanted.items() <= record.items()]):
            assert time.monotonic() < deadline, f"waited {LIMIT_S} s for: {wanted}"
            time.sleep(0.1)
        return found[-1].get("reason")

    def submit(self, tmp_path, name, *flags, text=JOB):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return self.client.kbd("submit", str(path), *flags)


@pytest.fixture(scope="module")
def site(make_daemon, make_mount, make_client, tmp_path_factory):
    daemon = make_daemon()
    folder = daemon.spool.root
    mount = make_mount(folder)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = tmp_path_factory.mktemp("manager") / "notify"
    manager.bind(str(path))
    manager.settimeout(LIMIT_S)
    daemon.spool = Spool(mount.point)
    daemon.start(NOTIFY_SOCKET=str(path), WATCHDOG_USEC=str(WATCHDOG_S * 1_000_000), **QUICK)
    site = Site(daemon, mount, manager, make_client(make_mount(folder).point))
    site.hear("READY=1")
    yield site
    daemon.end()
    manager.close()


def test_users_of_another_host_need_nothing_else(site, tmp_path):
    code, said = site.submit(tmp_path, "a", "--wait")
    assert (code, "passed" in said) == (0, True), said
    code, said = site.client.kbd("wait", "a")
    assert (code, "passed" in said) == (0, True), said
    code, said = site.client.kbd("status", "--json")
    report = json.loads(said)
    assert (report["history"], report["daemon"]["pid"]) == (False, site.daemon.started[-1].pid)
    assert site.client.kbd("show", "a")[0] == 0
    assert "fuse" in site.tells("not_watched")


def test_a_job_is_cancelled_from_another_host(site, tmp_path):
    assert site.submit(tmp_path, "sleeper", text=SLEEPER)[0] == 0
    code, said = site.client.kbd("cancel", "sleeper")
    assert code == 0, said
    assert "cancelled" in site.client.kbd("wait", "sleeper")[1]


def test_a_copied_file_is_found_when_it_has_settled(site):
    (site.client.spool / "inbox" / "copied.yaml").write_text(JOB)
    code, said = site.client.kbd("wait", "copied")
    assert (code, "passed" in said) == (0, True), said


@pytest.mark.fault("the file server hangs")
def test_while_the_server_hangs_the_daemon_lives_and_afterwards_it_goes_on(site, tmp_path):
    site.mount.hang()
    site.hear_no_more()
    for _ in range(2 * WATCHDOG_S):
        site.hear("WATCHDOG=1")
    near = type(site.client)(site.daemon.spool.root, site.daemon.state)
    code, said = near.kbd("status")
    assert (code, "does not answer" in said) == (74, True), said
    code, said = near.kbd("health")
    assert code == 0, said
    site.hear("WATCHDOG=1")
    site.mount.go_on()
    code, said = site.submit(tmp_path, "after", "--wait")
    assert (code, "passed" in said) == (0, True), said


@pytest.mark.fault("the spool is unmounted")
def test_a_spool_that_is_unmounted_is_told_and_work_goes_on_when_it_is_back(site, tmp_path):
    """A job whose turn comes meanwhile waits for its files."""
    assert site.submit(tmp_path, "slow", text=SLOW_JOB)[0] == 0
    site.tells("attempt", job="slow")  # both may be claimed in one round, and the other one go first
    folder = tmp_path / "beside.job"
    folder.mkdir()
    (folder / "job.yaml").write_text(JOB_WITH_DATA)
    np.save(folder / "x.npy", np.ones(16, dtype=np.float32))
    assert site.client.kbd("submit", str(folder))[0] == 0
    site.tells("claimed", job="beside")
    site.mount.unmount()
    site.tells("finished", job="slow")
    assert "is not a spool" in site.tells("held")
    near = type(site.client)(site.daemon.spool.root, site.daemon.state)
    code, said = near.kbd("status")
    assert (code, "Mount the file system" in said) == (3, True), said
    site.hear("WATCHDOG=1")
    site.mount.mount()
    site.tells("claiming_resumed")
    code, said = site.client.kbd("wait", "slow", "beside")
    assert (code, said.count("passed")) == (0, 2), said
