"""status.json: whole, readable by anybody, and written again and again."""

import json
import os
import time
from types import SimpleNamespace

import pytest

from kbd.daemon.devices import Device
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.sandbox.host import HostIsolation
from kbd.daemon.executor.sandbox.isolation import Isolation, IsolationSettings
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.snapshot import Ending, Holds, Snapshot
from kbd.daemon.version import kbd_version
from kbd.inbox.spool import SpoolMissing
from kbd.store.states import JobState

INTERVAL_S = 100.0
NOBODY = Holds()


@pytest.fixture
def worker():
    return SimpleNamespace(
        device=Device("cpu0", "a processor", DeviceTarget(kind="cpu")),
        job_id="j",
        problem=None,
        is_free=False,
    )


@pytest.fixture
def snapshot(desk, worker):
    run = SimpleNamespace(stage="timing", started=time.monotonic() - 3, worker=worker)
    executor = SimpleNamespace(workers=[worker], isolation=None)
    return Snapshot(executor, SimpleNamespace(running={"j": run}), desk, INTERVAL_S)


@pytest.fixture
def written(snapshot, desk):
    def write(holds=NOBODY):
        snapshot.write(snapshot.compose(holds))
        return json.loads(desk.spool.status_file.read_text())

    return write


def test_what_it_says(written, queue, desk):
    queue("a", "b")
    desk.store.begin_attempt("a", "cpu0", JobState.COMPILING)
    found = written()
    assert found["schema_version"] == 1
    assert found["daemon"]["pid"] == os.getpid()
    assert found["daemon"]["version"] == kbd_version()
    assert found["daemon"]["started_at"] <= found["daemon"]["updated_at"]
    assert {state: count for state, count in found["queue"].items() if count} == {
        "submitted": 1,
        "compiling": 1,
    }
    (device,) = found["devices"]
    assert (
        device.items()
        >= {"key": "cpu0", "name": "a processor", "kind": "cpu", "job": "j", "state": "busy"}.items()
    )
    assert device["since"] >= found["daemon"]["started_at"]
    (running,) = found["running"]
    assert (running["id"], running["stage"], running["device"]) == ("j", "timing", "cpu0")
    assert running["since_s"] >= 3
    assert found["paused"] is None


def test_isolation_is_told_once_it_is_known(snapshot, written):
    assert written()["isolation"] == {}
    found = Isolation(IsolationSettings(), absent=((Layer.PID, "not here"),))
    snapshot._executor.isolation = HostIsolation({"cpu": found})
    assert written()["isolation"] == {"cpu": {"level": "none", "missing": ["PID namespace: not here"]}}


def test_a_reason_for_waiting_is_told(written):
    assert written(Holds(trouble="the spool is not mounted"))["paused"] == "the spool is not mounted"


def test_that_the_daemon_ends_is_told(written):
    assert written()["ending"] is None
    assert written(Holds(ending=Ending(left_s=27.5)))["ending"] == {"left_s": 27.5, "over": False}
    assert written(Holds(ending=Ending(over=True)))["ending"] == {"left_s": None, "over": True}


def test_it_is_due_at_once_and_then_after_its_interval(snapshot, written):
    assert snapshot.due_in_s == 0
    written()
    assert 0 < snapshot.due_in_s <= INTERVAL_S


def test_it_is_replaced_whole(written, desk):
    written()
    before = desk.spool.status_file.stat()
    written()
    after = desk.spool.status_file.stat()
    assert (after.st_ino != before.st_ino, after.st_mode & 0o777) == (True, 0o644)
    assert [path.name for path in desk.spool.root.iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.fault("the outbox is read-only")
def test_an_outbox_that_takes_nothing_is_told(written, desk):
    desk.spool.outbox_tmp.rmdir()
    trouble = "results wait for the outbox: Read-only file system"
    assert written(Holds(trouble=trouble))["paused"] == trouble


def test_a_spool_that_is_gone_is_said_to_be_missing(snapshot, desk):
    desk.spool.sentinel.unlink()
    with pytest.raises(SpoolMissing):
        snapshot.write(snapshot.compose(Holds()))
