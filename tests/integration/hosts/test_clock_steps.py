"""The clock of the day steps by hours while a daemon works: nothing goes by it but what people read."""

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kbd.inbox.spool import Spool
from tests import waiting

LIMIT_S = 100
until = functools.partial(waiting.until, limit_s=LIMIT_S)
HOUR_S = 3600
SOURCE = Path(__file__).with_name("stepping_clock.c")
JOB = (Path(__file__).parents[2] / "double.yaml").read_text() + "timeout: 60\n"
SLOW_JOB = JOB.replace("return x + x", "import time; time.sleep(0.5); return x + x")


@pytest.fixture
def clock(tmp_path):
    """A clock for a daemon, an hour ahead of that of other hosts; its environment, and how to set it."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    library, ahead = tmp_path / "stepping_clock.so", tmp_path / "ahead"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    ahead.touch()

    def step_to(seconds_ahead):
        os.truncate(ahead, seconds_ahead)

    step_to(HOUR_S)
    return {"LD_PRELOAD": str(library), "STEPPING_CLOCK": str(ahead)}, step_to


def role_of(daemon):
    try:
        return json.loads((daemon.state / "daemon.json").read_text()).get("role")
    except (FileNotFoundError, ValueError):
        return None


def records(daemon, action):
    return [record for record in daemon.log() if record["action"] == action]


@pytest.mark.fault("a clock steps by an hour")
def test_no_lease_no_deadline_and_no_order_changes(make_daemon, seen_by_another_host, clock):
    environment, step_to = clock
    owner, standby = make_daemon(), make_daemon()
    standby.spool = Spool(seen_by_another_host(owner.spool.root))
    early, late = ["a", "b", "c"], ["d", "e"]
    owner.start(**environment)
    until(lambda: role_of(owner) == "owner", "an owner")
    standby.start()
    until(lambda: role_of(standby) == "standby", "a standby")
    for name in early:
        owner.deliver(f"{name}.yaml", SLOW_JOB)
    until(lambda: records(owner, "attempt"), "a job that runs")
    step_to(3 * HOUR_S)
    until(lambda: len(records(owner, "attempt")) > 1, "another one")
    step_to(0)
    for name in late:
        owner.deliver(f"{name}.yaml", JOB)
    until(lambda: len(owner.results()) == len(early + late), "all results")
    stamps = [record["timestamp"] for record in owner.log()]
    assert stamps != sorted(stamps), "the daemon has seen its clock go back"
    assert {result["status"] for result in owner.results().values()} == {"passed"}
    assert [record["job"] for record in records(owner, "attempt")] == early + late
    assert (role_of(owner), role_of(standby)) == ("owner", "standby")
    owner.end()
    standby.end()
