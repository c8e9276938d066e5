"""One daemon per device on a host, of whatever user."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kbd.daemon.executor.device_lock import LOCK_FOLDER, DeviceLock, DeviceTaken

UUID = "GPU-1234"
HOLD = """
import os, sys
from pathlib import Path
from kbd.daemon.executor.device_lock import DeviceLock
if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
os.umask(0o077)
lock = DeviceLock("GPU-1234", Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
input()
lock.release()
"""
NOBODY = 65534


@pytest.fixture
def folder():
    """A folder like /tmp: everybody writes, nobody removes what is another's. pytest's own are for one user."""
    folder = Path(tempfile.mkdtemp(prefix="kbd-locks-", dir=LOCK_FOLDER))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def other_daemon(folder):
    """Another process that holds the device, as this user or another one."""
    started = []

    def start(*uid):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), *map(str, uid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_is_told_who_has_it(folder, other_daemon):
    holder = other_daemon()
    with pytest.raises(DeviceTaken, match=f"GPU-1234.*process id {holder.pid}, user "):
        DeviceLock(UUID, folder).acquire()


def test_it_is_free_when_its_daemon_has_died(folder, other_daemon):
    holder = other_daemon()
    holder.kill()
    holder.wait()
    lock = DeviceLock(UUID, folder)
    lock.acquire()
    lock.release()


def test_it_can_be_given_back_and_taken_again(folder):
    first, second = DeviceLock(UUID, folder), DeviceLock(UUID, folder)
    first.acquire()
    with pytest.raises(DeviceTaken):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    second.release()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_daemons_of_different_users_exclude_each_other_and_follow_each_other(folder, other_daemon):
    theirs = other_daemon(NOBODY)
    with pytest.raises(DeviceTaken, match=f"process id {theirs.pid}, user nobody"):
        DeviceLock(UUID, folder).acquire()
    theirs.communicate("\n")
    ours = DeviceLock(UUID, folder)
    ours.acquire()
    ours.release()
    other_daemon(NOBODY)
    with pytest.raises(DeviceTaken):
        DeviceLock(UUID, folder).acquire()


def test_what_the_file_says_is_not_obeyed(folder, other_daemon):
    other_daemon()
    path = folder / "kbd-device-GPU-1234.lock"
    for text in ('{"pid": "\\u001b[2J", "user": 1}', "nonsense", "[]", "", '{"pid": 1}'):
        path.write_text(text)
        with pytest.raises(DeviceTaken) as taken:
            DeviceLock(UUID, folder).acquire()
        assert "\x1b" not in str(taken.value)


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_file_is_not_followed_and_blocks_nobody(folder, tmp_path, kind):
    path, target = folder / "kbd-device-GPU-1234.lock", tmp_path / "precious"
    target.write_text("precious")
    {"link": lambda: path.symlink_to(target), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    with pytest.raises(DeviceTaken, match="remove it"):
        DeviceLock(UUID, folder).acquire()
    assert target.read_text() == "precious"


def test_daemons_meet_whatever_their_tmpdir_is(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/somewhere/else")
    assert DeviceLock("x")._path.parent == LOCK_FOLDER
