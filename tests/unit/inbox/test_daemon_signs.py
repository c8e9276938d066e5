import json
import os
import platform

import pytest

from kbd.inbox.daemon_signs import SILENCE_S, Presence, SnapshotWatch
from kbd.inbox.spool import Spool


class Times:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def say(spool):
    def write(number, host="elsewhere", pid=1):
        spool.status_file.write_text(json.dumps({"daemon": {"pid": pid, "host": host, "updated_at": number}}))

    return write


def test_nothing_there(spool):
    assert SnapshotWatch(spool).look() == (Presence.ABSENT, None)


def test_a_life_from_first_sign_to_silence(spool, say):
    times = Times()
    watch = SnapshotWatch(spool, clock=times)
    say(1)
    assert watch.look()[0] is Presence.UNSURE
    say(2)
    assert watch.look()[0] is Presence.RUNNING
    times.now += SILENCE_S
    assert watch.look()[0] is Presence.ABSENT
    say(3)
    assert watch.look()[0] is Presence.RUNNING


def test_a_process_of_this_host_that_is_no_more(spool, say):
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    say(1, host=platform.node(), pid=child)
    assert SnapshotWatch(spool).look()[0] is Presence.ABSENT


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"daemon": ' * 100_000, "9" * 5000, "\ud800".encode("utf-8", "surrogatepass")],
    ids=["deep lists", "deep objects", "a long number", "half a character"],
)
def test_what_nobody_can_read_says_nothing(spool, text):
    spool.status_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert SnapshotWatch(spool).look() == (Presence.ABSENT, None)


def test_a_number_that_no_process_has_is_nobody(spool):
    spool.status_file.write_text(json.dumps({"daemon": {"pid": 1 << 70, "host": platform.node()}}))
    assert SnapshotWatch(spool).look()[0] is Presence.UNSURE
