"""When the inbox is looked into, and what happens when it cannot be."""

import asyncio
from types import SimpleNamespace

import pytest

from kbd.daemon import claiming as claiming_module
from kbd.daemon.claiming import Claiming
from kbd.daemon.take_in import TakenIn
from kbd.inbox.spool import SpoolMissing

INTERVAL_S = 30.0


class Clerk:
    async def do(self, verb, *arguments):
        return verb(*arguments)


class Inbox:
    """Stands for desk.take_in and desk.scanner."""

    def __init__(self):
        self.answers = []
        self.hints = []
        self.due_s = None

    def round(self, hints):
        self.hints.append(list(hints))
        answer = self.answers.pop(0) if self.answers else TakenIn()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def next_look_s(self):
        return self.due_s


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def now(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(claiming_module.time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def claiming(inbox, now):
    return Claiming(Clerk(), SimpleNamespace(take_in=inbox, scanner=inbox), INTERVAL_S)


def work(claiming):
    asyncio.run(claiming.round())


def test_looks_at_once_and_then_at_regular_times(claiming, inbox, now):
    work(claiming)
    work(claiming)
    assert len(inbox.hints) == 1
    assert claiming.due_in_s == claiming_module.QUICKEST_S
    assert claiming.inbox_empty
    now.now += INTERVAL_S
    work(claiming)
    assert len(inbox.hints) == 2


def test_a_hint_is_a_reason_to_look(claiming, inbox):
    work(claiming)
    claiming.hint("a.yaml")
    assert claiming.due_in_s == 0
    work(claiming)
    assert inbox.hints == [[], ["a.yaml"]]


def test_as_long_as_something_comes_it_looks_again(claiming, inbox):
    inbox.answers = [TakenIn(queued=1), TakenIn(refused=1)]
    for _ in range(4):
        work(claiming)
    assert len(inbox.hints) == 3
    assert claiming.inbox_empty


def test_what_is_still_arriving_is_looked_for_in_time(claiming, inbox):
    inbox.due_s = 0.7
    work(claiming)
    assert claiming.due_in_s == pytest.approx(0.7)
    assert not claiming.inbox_empty


@pytest.mark.parametrize("answer", [TakenIn(held="full"), OSError("gone"), SpoolMissing("not mounted")])
@pytest.mark.fault("the spool is unmounted")
def test_held_with_a_reason_and_no_hint_is_lost(claiming, inbox, now, answer):
    inbox.answers = [answer]
    claiming.hint("a.yaml")
    work(claiming)
    assert claiming.held in ("full", "gone", "not mounted")
    assert not claiming.inbox_empty
    assert 0 < claiming.due_in_s <= claiming_module.RETRY_S, "a hint that is kept must not make it spin"
    work(claiming)
    assert len(inbox.hints) == 1
    now.now += claiming_module.RETRY_S
    work(claiming)
    assert inbox.hints[1] == ["a.yaml"]
    assert claiming.held is None


def test_somebody_asks_it_to_look(claiming, inbox):
    work(claiming)
    claiming.look_now()
    work(claiming)
    assert len(inbox.hints) == 2


def pauses(claiming, now, looks):
    """The times between so many looks to which nothing calls."""
    found = []
    for _ in range(looks):
        work(claiming)
        found.append(claiming.due_in_s)
        now.now += claiming.due_in_s
    return found


def test_looks_become_rare_while_nothing_comes_and_quick_when_something_did(claiming, inbox, now):
    claiming.interval_s = 5.0
    assert pauses(claiming, now, 5) == [1.0, 2.0, 4.0, 5.0, 5.0]
    inbox.answers = [TakenIn(queued=1)]
    assert pauses(claiming, now, 3) == [0.0, 1.0, 2.0]


def test_what_is_due_late_does_not_keep_the_others_waiting(claiming, inbox, now):
    claiming.interval_s, inbox.due_s = 5.0, 58.0
    assert pauses(claiming, now, 5) == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert not claiming.inbox_empty


def test_what_waits_in_claimed_is_tried_again_soon_and_is_no_empty_inbox(claiming, inbox, now):
    inbox.answers = [TakenIn(waiting=1)] * 4
    assert pauses(claiming, now, 4) == [1.0, 2.0, 2.0, 2.0]
    assert claiming_module.RETRY_S == 2.0
    assert not claiming.inbox_empty
