"""What can be known about an owner without waiting for its lease to run out."""

import os
import subprocess
import sys

import pytest

from kbd.daemon.claimant import claimant, is_gone

LEASE_S = 30.0


@pytest.fixture
def folders(tmp_path):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    return tmp_path / "ours", tmp_path / "theirs"


def test_a_state_folder_keeps_its_identity_and_each_life_has_its_own_token(folders):
    ours, theirs = folders
    first, second, other = (claimant(folder, LEASE_S) for folder in (ours, ours, theirs))
    assert first.state == second.state != other.state
    assert first.token != second.token
    assert first.pid == os.getpid()


def test_an_identity_that_was_never_written_whole_is_made_anew(folders):
    (folders[0] / "identity").touch()
    assert len(claimant(folders[0], LEASE_S).state) == 32


def test_whoever_had_our_state_folder_is_dead_since_we_hold_its_lock(folders):
    former, ours = claimant(folders[0], LEASE_S), claimant(folders[0], LEASE_S)
    assert is_gone(former, ours)
    assert not is_gone(ours, ours)


def test_a_copy_of_our_state_folder_on_another_host_is_another_daemon(folders):
    former, ours = claimant(folders[0], LEASE_S), claimant(folders[0], LEASE_S)
    assert not is_gone(former.model_copy(update={"host": "far", "place": "elsewhere"}), ours)


def test_a_process_of_this_host_is_seen_to_live_and_to_die(folders):
    ours = claimant(folders[0], LEASE_S)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    fields = f"/proc/{process.pid}/stat"
    with open(fields) as file:
        born = int(file.read().rpartition(")")[2].split()[19])
    theirs = claimant(folders[1], LEASE_S).model_copy(update={"pid": process.pid, "born": born})
    assert not is_gone(theirs, ours)
    assert is_gone(theirs.model_copy(update={"born": born - 1}), ours), "the number was given to another"
    assert not is_gone(theirs.model_copy(update={"born": born - 1, "place": "another host"}), ours)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(theirs, ours), "dead, though nobody has reaped it"
    process.communicate()
    assert is_gone(theirs, ours)
