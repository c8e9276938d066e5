"""What is said of a daemon that is stopping."""

import pytest

from kbd.daemon.cli.ending_words import waits_for
from kbd.inbox.spool_snapshot import SpoolSnapshot

FIVE = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("left_s", "running", "queued", "said"),
    [
        (27.2, ["a"], 3, "for a to end, 27 s at most"),
        (27.2, ["a", "b"], 0, "for a and b to end, 27 s at most"),
        (27.2, FIVE, 0, "for a, b, c and 2 other jobs to end, 27 s at most"),
        (9.99, ["a"], 0, "for a to end, 10 s at most"),
        (1_200, ["a"], 0, "for a to end, 20 min at most"),
        (27.2, [], 3, "for no job any more"),
        (0, ["a"], 0, "until a is put back into the queue"),
        (0, ["a", "b"], 0, "until a and b are put back into the queue"),
        (None, ["a"], 0, "for a"),
        (None, ["a"], 1, "for a and 1 queued job"),
        (None, FIVE, 3, "for a, b, c, 2 other jobs and 3 queued jobs"),
        (None, [], 0, "for no job any more"),
    ],
)
def test_what_it_waits_for(left_s, running, queued, said):
    snapshot = SpoolSnapshot("", running=tuple({"id": name} for name in running), queue={"submitted": queued})
    assert waits_for({"left_s": left_s, "over": False}, snapshot) == said


def test_a_queue_that_is_paused_is_not_waited_for():
    snapshot = SpoolSnapshot("", running=({"id": "a"},), queue={"submitted": 3}, is_paused=True)
    assert waits_for({"left_s": None}, snapshot) == "for a"


def test_when_it_is_over():
    assert waits_for({"over": True}, SpoolSnapshot("", running=({"id": "a"},))) == "for no job any more"


def test_what_another_program_wrote():
    assert waits_for({"left_s": "soon"}, None) == "for no job any more"
    assert waits_for({}, SpoolSnapshot("", running=({}, {"id": "\x1b[2J"}))) == "for ? and \\x1b[2J"
