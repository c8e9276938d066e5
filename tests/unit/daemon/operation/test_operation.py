"""What the service manager and `kbd health` are told about the work, in one line."""

import pytest

from kbd.daemon.operation.operation import _in_words

REPORT = {"running": [{"job": "a"}], "queue": {"submitted": 2}, "paused": None, "pause": None}


@pytest.mark.parametrize(
    ("held", "refused", "said"),
    [
        ({}, None, "1 running, 2 waiting"),
        (
            {"paused": "by ann@box: new driver", "pause": {"by": "ann@box"}},
            None,
            "1 running, 2 waiting; paused by ann@box: new driver",
        ),
        ({"paused": "the disk is full"}, None, "1 running, 2 waiting; the disk is full"),
        ({}, "a = ?", "1 running, 2 waiting; settings kept, the new ones are wrong: a = ?"),
    ],
)
def test_the_work_in_words(held, refused, said):
    assert _in_words(REPORT | held, refused) == said
