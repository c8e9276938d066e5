import json
import threading
import time

import pytest

from kbd.daemon import patience
from kbd.daemon.cli.vital_signs import Health, take_vital_signs
from kbd.daemon.operation import heartbeat
from kbd.daemon.operation.heartbeat import Heartbeat
from kbd.inbox.spool import Spool

PID = 4242
LONG_S = 30


@pytest.fixture
def beats(place, daemon_runs):
    """A daemon that holds the lock and gave a sign of life some seconds ago."""

    def beat(*, ago_s=0.0, ready=True, pid=PID, status="3 running, 5 waiting", boot=None):
        at = time.clock_gettime(time.CLOCK_BOOTTIME) - ago_s
        heartbeat.write(place.state, Heartbeat(pid, boot or heartbeat.boot_id(), at, ready, status))

    with daemon_runs():
        yield beat


def test_a_healthy_daemon(kbd, beats):
    beats()
    ended = kbd("health")
    assert (ended.code, ended.out, ended.err) == (0, "healthy: 3 running, 5 waiting\n", "")


def test_for_programs(kbd, beats):
    beats()
    document = json.loads(kbd("health", "--json").out)
    assert document.pop("silent_s") < LONG_S
    assert document == {
        "schema_version": 1,
        "healthy": True,
        "health": "healthy",
        "detail": "3 running, 5 waiting",
        "pid": PID,
    }


@pytest.mark.parametrize(
    ("beat", "words"),
    [
        ({"ready": False, "status": "0 running"}, "starting: 0 running"),
        ({"pid": PID + 1}, "starting: the daemon (pid 4242) was just started"),
        ({"boot": "another"}, "starting: "),
        ({"ago_s": 75}, "silent: the daemon (pid 4242) gave no sign of life for 75 s"),
    ],
)
def test_others_are_not_healthy(kbd, beats, beat, words):
    beats(**beat)
    ended = kbd("health")
    assert (ended.code, ended.out.startswith(words)) == (1, True), ended.out


def test_how_long_a_silence_may_be(kbd, beats):
    beats(ago_s=75)
    assert kbd("health", "--silence", "100").code == 0


def test_nobody_is_there(kbd, place):
    ended = kbd("health")
    assert (ended.code, ended.out) == (1, f"absent: no daemon works on {place.spool_root}\n")


def test_it_needs_no_spool(kbd, beats, place):
    """The mount is gone, the daemon waits for it and lives."""
    beats()
    place.spool_root.rename(place.spool_root.with_name("elsewhere"))
    assert kbd("health").code == 0


def test_a_spool_that_does_not_answer(kbd, monkeypatch):
    """As on a host that knows nothing but the spool, while its file server hangs."""
    answers = threading.Event()
    monkeypatch.setattr(patience.open_spool, "__defaults__", (0.1,))
    monkeypatch.setattr(Spool, "require", lambda _: answers.wait())
    ended = kbd("health")
    answers.set()
    assert (ended.code, "does not answer" in ended.out) == (1, True), ended.out


def test_from_another_host_the_snapshot_tells(place, spool):
    written = iter(range(10))

    def pause(_):
        spool.status_file.write_text(
            json.dumps({"daemon": {"pid": 1, "host": "far", "updated_at": next(written)}})
        )

    pause(0)
    signs = take_vital_signs(place, LONG_S, pause=pause)
    assert (signs.health, "far" in signs.detail) == (Health.HEALTHY, True)
