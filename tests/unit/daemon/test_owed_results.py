"""What the outbox refuses is brought there again, ever more rarely, and at once when it takes it again."""

import asyncio
import errno
import os
from types import SimpleNamespace

import pytest

from kbd.daemon.owed_results import FIRST_REST_S, LONGEST_REST_S, OwedResults
from kbd.inbox.epoch import EpochLost


class Clerk:
    async def do(self, verb, *arguments):
        return verb(*arguments)


class Outbox:
    """Stands for desk.publishing: gives the answers it was given, one after the other."""

    def __init__(self):
        self.answers = []
        self.asked = 0

    def publish_owed(self):
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else 0
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def outbox():
    return Outbox()


@pytest.fixture
def clock():
    return SimpleNamespace(now=1000.0)


@pytest.fixture
def owed(outbox, clock):
    return OwedResults(Clerk(), SimpleNamespace(publishing=outbox), clock=lambda: clock.now)


def work(owed):
    return asyncio.run(owed.round())


def refusal():
    return OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_where_nothing_fails_every_round_asks(owed, outbox):
    outbox.answers = [100, 3]
    assert [work(owed) for _ in range(3)] == [True, True, False]
    assert (outbox.asked, owed.wait, owed.trouble, owed.due_in_s) == (3, False, None, None)


@pytest.mark.fault("the outbox is read-only")
@pytest.mark.fault("a disk is full")
def test_each_rest_is_twice_as_long_as_the_one_before(owed, outbox, clock):
    outbox.answers = [refusal() for _ in range(8)]
    rests = []
    for number in range(8):
        assert work(owed) is False
        assert work(owed) is False, "it rests"
        assert outbox.asked == number + 1
        assert "Read-only" in owed.trouble
        assert owed.wait
        rests.append(owed.due_in_s)
        clock.now += owed.due_in_s
        assert owed.due_in_s == 0
    assert rests[:3] == [FIRST_REST_S, 2 * FIRST_REST_S, 4 * FIRST_REST_S]
    assert rests[-1] == LONGEST_REST_S


def test_after_a_success_the_next_rest_is_short_again(owed, outbox, clock):
    outbox.answers = [refusal(), refusal(), 2, refusal()]
    for _ in range(2):
        work(owed)
        clock.now += owed.due_in_s
    assert work(owed)
    assert owed.trouble is None
    work(owed)
    assert owed.due_in_s == FIRST_REST_S


@pytest.mark.fault("the spool is unmounted")
def test_a_spool_that_is_back_is_asked_at_once(owed, outbox):
    outbox.answers = [refusal(), 1]
    work(owed)
    assert not work(owed)
    owed.hurry()
    assert owed.due_in_s == 0
    assert work(owed)


def test_whoever_lost_the_spool_does_not_rest(owed, outbox):
    outbox.answers = [EpochLost("taken over")]
    with pytest.raises(EpochLost):
        work(owed)
