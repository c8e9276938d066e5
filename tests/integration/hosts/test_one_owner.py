"""A spool has one owner: others stand by, take over from one that is dead or silent, and shut a paused one out.

Two state folders make two daemons that know nothing of each other, as on two hosts, and two mounts of one folder,
where this host has them, let each see late what the other does.
"""

import functools
import json
import signal
from pathlib import Path

import pytest

from kbd.inbox.spool import Spool
from tests import waiting

LIMIT_S = 100
until = functools.partial(waiting.until, limit_s=LIMIT_S)
LEASE_S = 3

JOB = (Path(__file__).parents[2] / "double.yaml").read_text()
SLOW_JOB = JOB.replace("return x + x", "import time; time.sleep(0.3); return x + x")


def says(daemon, role):
    """Whether a daemon says of itself that it has this role."""
    try:
        return json.loads((daemon.state / "daemon.json").read_text()).get("role") == role
    except (FileNotFoundError, ValueError):
        return False


def start(daemon):
    return daemon.start(KBD_LEASE_S=str(LEASE_S))


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    output, _ = process.communicate(timeout=LIMIT_S)
    return process.returncode, output.decode()


@pytest.fixture
def pair(make_daemon, seen_by_another_host):
    """Two daemons for one spool."""
    first, second = make_daemon(), make_daemon()
    folder = first.spool.root
    first.spool, second.spool = Spool(seen_by_another_host(folder)), Spool(seen_by_another_host(folder))
    yield first, second
    first.end()
    second.end()


def on_disk(daemon):
    """The spool of both, as it is."""
    return Spool(daemon.root / "spool")


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.fault("a second daemon on another host")
def test_a_standby_takes_over_at_once_when_the_owner_ends(pair):
    first, second = pair
    owner = start(first)
    until(lambda: says(first, "owner"), "an owner")
    standby = start(second)
    until(lambda: says(second, "standby"), "a standby")
    first.deliver("a.yaml", JOB)
    until(lambda: "a" in first.results(), "the owner's result")
    assert end(owner)[0] == 0
    until(lambda: says(second, "owner"), "a takeover")
    first.deliver("b.yaml", JOB)
    until(lambda: "b" in first.results(), "the new owner's result")
    code, output = end(standby)
    assert (code, "standing by" in output) == (0, True)
    assert list(on_disk(first).lease.iterdir()) == []


@pytest.mark.fault("a second daemon on another host")
def test_a_standby_stops_when_told_and_whoever_comes_for_one_round_does_not_wait(pair):
    first, second = pair
    owner = start(first)
    until(lambda: says(first, "owner"), "an owner")
    standby = start(second)
    until(lambda: says(second, "standby"), "a standby")
    assert end(standby)[0] == 0
    once = second.start("--once", KBD_LEASE_S=str(LEASE_S))
    output, _ = once.communicate(timeout=LIMIT_S)
    assert once.returncode == 1
    assert f"process id {owner.pid}" in output.decode()
    assert says(first, "owner")
    assert end(owner)[0] == 0


@pytest.mark.fault("the daemon is killed at any moment")
def test_a_standby_takes_over_from_one_that_was_killed_with_its_jobs(pair):
    first, second = pair
    names = [f"job{number}" for number in range(4)]
    for name in names:
        first.deliver(f"{name}.yaml", SLOW_JOB)
    owner = start(first)
    standby = start(second)
    until(lambda: first.results() or second.results(), "a first result")
    victim, survivor = (owner, standby) if says(first, "owner") else (standby, owner)
    end(victim, signal.SIGKILL)
    until(lambda: sorted(first.results()) == names, "all results")
    assert {result["status"] for result in first.results().values()} == {"passed"}
    assert end(survivor)[0] == 0
    assert files_in(on_disk(first).claimed) == []


@pytest.mark.fault("a paused daemon wakes")
def test_an_owner_that_was_paused_is_shut_out_and_ends(pair):
    first, second = pair
    names = [f"job{number}" for number in range(5)]
    for name in names:
        first.deliver(f"{name}.yaml", SLOW_JOB)
    owner = start(first)
    until(lambda: first.results(), "a first result")
    standby = start(second)
    until(lambda: says(second, "standby"), "a standby")
    owner.send_signal(signal.SIGSTOP)
    until(lambda: says(second, "owner"), "a takeover")
    until(lambda: len(first.results()) > 2, "results of the new owner")
    before = {path.name: path.stat().st_ino for path in on_disk(first).outbox.glob("*.json")}
    code, output = end(owner, signal.SIGCONT)
    assert code == 1, output
    assert f"process id {standby.pid}" in output
    assert "nothing is lost" in output
    assert "Traceback" not in output
    until(lambda: sorted(first.results()) == names, "all results")
    after = {path.name: path.stat().st_ino for path in on_disk(first).outbox.glob("*.json")}
    assert after.items() >= before.items(), "written once"
    assert {result["status"] for result in first.results().values()} == {"passed"}
    assert end(standby)[0] == 0
    assert files_in(on_disk(first).claimed) == []
    assert files_in(on_disk(first).done) == [f"{name}.yaml" for name in names]


def test_the_first_owner_comes_back_to_jobs_that_the_second_has_done(pair):
    """Its database still has them queued; their results are there, and stay."""
    first, second = pair
    names = [f"job{number}" for number in range(4)]
    for name in names:
        first.deliver(f"{name}.yaml", SLOW_JOB)
    owner = start(first)
    until(lambda: first.results(), "a first result")
    end(owner, signal.SIGKILL)
    second.run_once(KBD_LEASE_S=str(LEASE_S))
    before = first.results()
    assert sorted(before) == names
    first.run_once(KBD_LEASE_S=str(LEASE_S))
    assert first.results() == before
    (told,) = [record for record in first.log() if record.get("action") == "reconciled"][1:]
    assert told["lost"] == 0
    assert told["elsewhere"] > 0
