"""One daemon per state folder: the kernel's lock decides, and a death gives it back."""

import json
import os
import platform
import subprocess
import sys

import pytest

from kbd.daemon import ownership
from kbd.daemon.ownership import AlreadyRunning, StateLock, running_daemon

HOLD = """
import sys
from pathlib import Path
from kbd.daemon.ownership import StateLock
lock = StateLock(Path(sys.argv[1]))
lock.acquire({"spool": "/theirs"})
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(ownership, "PATIENCE_S", 0.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "daemon.lock"


@pytest.fixture
def other(path):
    """Another process that holds the lock until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_holder_says_who_it_is(path):
    lock = StateLock(path)
    lock.acquire({"spool": "/mine"})
    expected = {"pid": os.getpid(), "host": platform.node(), "spool": "/mine"}
    assert running_daemon(path.parent) == expected
    lock.release()
    assert running_daemon(path.parent) is None
    assert not path.with_suffix(".json").exists()


@pytest.mark.fault("a second daemon on the same state folder")
def test_a_second_holder_is_refused_and_told_who_has_it(path, other):
    with pytest.raises(AlreadyRunning, match=rf"process id {other.pid} .*--state"):
        StateLock(path).acquire({})
    assert running_daemon(path.parent)["pid"] == other.pid
    assert running_daemon(path.parent)["spool"] == "/theirs"


def test_a_refused_second_leaves_the_firsts_word_alone(path, other):
    before = path.with_suffix(".json").read_text()
    with pytest.raises(AlreadyRunning):
        StateLock(path).acquire({"spool": "/mine"})
    assert path.with_suffix(".json").read_text() == before


def test_death_gives_the_lock_back(path, other):
    other.kill()
    other.wait()
    assert running_daemon(path.parent) is None
    lock = StateLock(path)
    lock.acquire({})
    assert json.loads(path.with_suffix(".json").read_text())["pid"] == os.getpid()
    lock.release()


@pytest.mark.parametrize("said", ["", "{", "[]", '{"host": "x"}', None])
def test_a_holder_that_says_nothing_sensible(path, other, said):
    about = path.with_suffix(".json")
    if said is None:
        about.unlink()
    else:
        about.write_text(said)
    with pytest.raises(AlreadyRunning, match="process id unknown"):
        StateLock(path).acquire({})
    assert running_daemon(path.parent).get("pid") is None


def test_nobody_runs_where_nothing_is(tmp_path):
    assert running_daemon(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_looking_does_not_take_the_lock(path):
    lock = StateLock(path)
    lock.acquire({})
    lock.release()
    for _ in range(3):
        assert running_daemon(path.parent) is None
    lock.acquire({})
    lock.release()


def test_what_a_killed_daemon_said_is_not_believed(path):
    path.parent.mkdir()
    path.touch()
    path.with_suffix(".json").write_text('{"pid": 1}')
    assert running_daemon(path.parent) is None
