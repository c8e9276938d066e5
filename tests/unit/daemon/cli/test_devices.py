"""`kbd devices`: from the snapshot in the spool, whoever wrote it."""

import json

import pytest

from kbd.daemon.cli.exit_codes import ExitCode

BUSY = {
    "key": "GPU-1",
    "name": "a\x1b[2J card",
    "kind": "cuda",
    "arch": "sm_90",
    "state": "busy",
    "job": "softmax",
    "problem": None,
    "since": "2030-01-01T00:00:00.000+00:00",
}
OLD = {"key": "cpu0", "name": "a processor", "kind": "cpu", "problem": "broken", "surplus": 1}


@pytest.fixture
def snapshot(spool):
    def write(*devices):
        spool.status_file.write_text(json.dumps({"daemon": {"pid": 1, "host": "box"}, "devices": devices}))

    return write


def test_a_line_for_each(kbd, snapshot, daemon_runs):
    snapshot(BUSY, OLD)
    with daemon_runs():
        ended = kbd("devices")
    assert (ended.code, ended.err) == (0, "")
    title, busy, old = (line.split() for line in ended.out.splitlines())
    assert title == ["KEY", "NAME", "KIND", "ARCH", "STATE", "JOB", "PROBLEM", "SINCE"]
    assert busy == ["GPU-1", "a\\x1b[2J", "card", "cuda", "sm_90", "busy", "softmax", "-", BUSY["since"]]
    assert old == ["cpu0", "a", "processor", "cpu", "-", "-", "-", "broken", "-"]


def test_json(kbd, snapshot, daemon_runs):
    snapshot(BUSY, OLD)
    with daemon_runs():
        busy, old = json.loads(kbd("devices", "--json").out)["devices"]
    assert busy == BUSY
    assert (old["problem"], old["arch"]) == ("broken", None)
    assert "surplus" not in old


def test_from_another_host(kbd, snapshot):
    snapshot(BUSY)
    assert "softmax" in kbd("devices").out


def test_a_daemon_that_has_said_nothing_yet(kbd, daemon_runs):
    with daemon_runs():
        assert json.loads(kbd("devices", "--json").out)["devices"] == []


def test_nobody_there(kbd):
    ended = kbd("devices")
    assert ended.code == ExitCode.NO_DAEMON
    assert "kbd run" in ended.err
