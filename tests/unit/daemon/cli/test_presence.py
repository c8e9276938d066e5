import json
import os
import platform

import pytest

from kbd.daemon.cli.presence import SILENCE_S, DaemonWatch, Presence


@pytest.fixture
def say(spool):
    """Write the snapshot, as a daemon of another host."""

    def write(number, host="elsewhere", pid=1):
        document = {
            "daemon": {"pid": pid, "host": host, "updated_at": str(number)},
            "queue": {"submitted": 3},
        }
        spool.status_file.write_text(json.dumps(document))

    return write


class Times:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_no_sign_of_one(place):
    assert DaemonWatch(place).look().presence is Presence.ABSENT


def test_the_lock_is_certain(place, daemon_runs):
    with daemon_runs(pid=77):
        sighting = DaemonWatch(place).look()
    assert sighting.presence is Presence.RUNNING
    assert sighting.about["pid"] == 77
    assert DaemonWatch(place).look().presence is Presence.ABSENT


def test_a_daemon_with_this_state_folder_on_another_spool_is_none_of_ours(place, daemon_runs):
    with daemon_runs(spool="/another/spool"):
        assert DaemonWatch(place).look().presence is Presence.ABSENT


def test_the_first_look_from_another_host_cannot_be_sure(place, say):
    say(1)
    sighting = DaemonWatch(place).look()
    assert sighting.presence is Presence.UNSURE
    assert sighting.about["host"] == "elsewhere"


def test_a_snapshot_that_changes_means_life(place, say):
    times = Times()
    watch = DaemonWatch(place, clock=times)
    say(1)
    watch.look()
    times.now, _ = 2.0, say(2)
    assert watch.look().presence is Presence.RUNNING
    times.now = 2.0 + SILENCE_S - 0.1
    assert watch.look().presence is Presence.RUNNING
    times.now = 2.0 + SILENCE_S
    assert watch.look().presence is Presence.ABSENT
    say(3)
    assert watch.look().presence is Presence.RUNNING


def test_a_snapshot_that_never_changes_is_a_dead_one(place, say):
    times = Times()
    watch = DaemonWatch(place, clock=times)
    say(1)
    watch.look()
    times.now = SILENCE_S - 0.1
    assert watch.look().presence is Presence.UNSURE
    times.now = SILENCE_S
    assert watch.look().presence is Presence.ABSENT


def test_a_process_of_this_host_that_is_no_more_is_known_at_once(place, say, dead_pid):
    say(1, host=platform.node(), pid=dead_pid)
    assert DaemonWatch(place).look().presence is Presence.ABSENT


def test_a_living_process_of_this_host_may_be_the_daemon(place, say):
    say(1, host=platform.node(), pid=os.getpid())
    assert DaemonWatch(place).look().presence is Presence.UNSURE


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"daemon": 3}', '{"daemon": {}}', "\ud800".encode("utf-8", "surrogatepass")],
)
def test_a_snapshot_that_is_none(place, spool, text):
    spool.status_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert DaemonWatch(place).look().presence is Presence.ABSENT


def test_a_symlink_is_not_followed(place, spool, tmp_path):
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"daemon": {"host": "x"}}')
    spool.status_file.symlink_to(elsewhere)
    assert DaemonWatch(place).look().presence is Presence.ABSENT


def test_a_standby_is_not_the_daemon_of_the_spool(place, daemon_runs, say):
    times = Times()
    watch = DaemonWatch(place, clock=times)
    say(1)
    with daemon_runs(pid=77, role="standby"):
        sighting = watch.look()
        assert (sighting.presence, sighting.standby["pid"]) == (Presence.UNSURE, 77)
        assert sighting.about["host"] == "elsewhere"
        times.now, _ = 2.0, say(2)
        assert watch.look().presence is Presence.RUNNING
    assert watch.look().standby is None
