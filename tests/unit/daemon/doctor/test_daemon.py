"""A daemon that works, is silent, or is not there."""

import fcntl
import json
import time

import pytest

from kbd.daemon.doctor.check import State
from kbd.daemon.doctor.daemon import daemon, devices
from kbd.daemon.operation import heartbeat
from kbd.daemon.operation.heartbeat import Heartbeat


@pytest.fixture
def beats(place):
    """A daemon holds the lock; its last sign of life is some seconds old."""
    with (place.state / "daemon.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        about = {"pid": 42, "spool": str(place.spool_root)}
        (place.state / "daemon.json").write_text(json.dumps(about))

        def beat(ago_s, *, ready=True):
            at = time.clock_gettime(time.CLOCK_BOOTTIME) - ago_s
            heartbeat.write(place.state, Heartbeat(42, heartbeat.boot_id(), at, ready, "0 running"))

        yield beat


@pytest.mark.parametrize(
    ("ago_s", "ready", "state", "cure"),
    [(1, True, State.OK, ""), (1, False, State.WARN, "wait"), (300, True, State.FAIL, "daemon.log")],
)
def test_a_daemon_that_is_there(patient, beats, ago_s, ready, state, cure):
    beats(ago_s, ready=ready)
    (check,) = daemon(patient)
    assert (check.state, cure in (check.cure or "")) == (state, True)


def test_nobody_is_there_and_nobody_is_missed(patient):
    (check,) = daemon(patient)
    assert (check.state, "kbd run" in check.cure) == (State.WARN, True)


def test_jobs_wait_for_nobody(patient, spool):
    (spool.inbox / "a.yaml").touch()
    (check,) = daemon(patient)
    assert (check.state, check.finding.endswith("and 1 job wait for one")) == (State.FAIL, True)


def test_a_device_that_is_out_of_service(patient, spool):
    found = [{"key": "GPU-1", "state": "out", "problem": "Xid 79"}, {"key": "GPU-2", "state": "free"}]
    spool.status_file.write_text(json.dumps({"devices": found}))
    (check,) = devices(patient)
    assert (check.state, check.finding) == (State.WARN, "GPU-1 is out of service: Xid 79")
