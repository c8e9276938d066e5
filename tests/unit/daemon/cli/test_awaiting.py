from dataclasses import dataclass
from itertools import pairwise

import pytest

from kbd.daemon.cli.awaiting import JobsLost, NobodyWorks, ResultWait, TimeIsUp
from kbd.daemon.cli.presence import Presence, Sighting
from kbd.inbox.rhythm import Rhythm
from kbd.outbox.publisher import publish


@dataclass
class Watch:
    """A daemon that is seen as told."""

    presence: Presence = Presence.RUNNING
    looks: int = 0

    def look(self):
        self.looks += 1
        return Sighting(self.presence, {}, None)


class Clock:
    """Time that passes in pauses only; `events` happen in them, one a pause."""

    def __init__(self, *events):
        self.now = 100.0
        self.events = list(events)

    def pause(self, seconds):
        assert seconds > 0
        self.now += seconds
        if self.events:
            self.events.pop(0)()

    @property
    def rhythm(self):
        return Rhythm(clock=lambda: self.now, pause=self.pause)


def ids(results):
    return [result.job_id for result in results]


@pytest.fixture
def put(spool, make_result):
    return lambda job_id: publish(spool, job_id, make_result(job_id).to_json())


def test_what_is_there_needs_no_daemon(spool, put):
    put("a")
    wait = ResultWait(spool, ["a"], Watch(Presence.ABSENT), timeout_s=None)
    assert ids(wait.results()) == ["a"]


def test_results_come_as_they_appear_and_once(spool, put):
    clock = Clock(lambda: put("b"), lambda: None, lambda: put("a"))
    wait = ResultWait(spool, ["a", "b", "a"], Watch(), timeout_s=None, rhythm=clock.rhythm)
    assert ids(wait.results()) == ["b", "a"]


def test_nobody_to_wait_for(spool, put):
    put("a")
    wait = ResultWait(spool, ["a", "b"], Watch(Presence.ABSENT), timeout_s=None, rhythm=Clock().rhythm)
    seen = wait.results()
    assert next(seen).job_id == "a"
    with pytest.raises(NobodyWorks) as ended:
        next(seen)
    assert ended.value.missing == ("b",)


def test_a_daemon_that_publishes_and_goes_is_not_taken_for_gone_before(spool, put):
    watch = Watch()

    def publish_and_go():
        put("a")
        watch.presence = Presence.ABSENT

    clock = Clock(*[lambda: None] * 30, publish_and_go)
    wait = ResultWait(spool, ["a"], watch, timeout_s=None, rhythm=clock.rhythm)
    assert ids(wait.results()) == ["a"]


def test_a_daemon_that_dies_ends_the_wait(spool):
    watch = Watch()

    def die():
        watch.presence = Presence.ABSENT

    clock = Clock(die)
    with pytest.raises(NobodyWorks):
        list(ResultWait(spool, ["a"], watch, timeout_s=None, rhythm=clock.rhythm).results())


def test_a_daemon_that_is_just_starting_is_waited_for(spool, put):
    watch = Watch(Presence.ABSENT)

    def start():
        watch.presence = Presence.RUNNING

    clock = Clock(*[lambda: None] * 50, start, *[lambda: None] * 1000, lambda: put("a"))
    assert ids(ResultWait(spool, ["a"], watch, timeout_s=None, rhythm=clock.rhythm).results()) == ["a"]


def test_not_being_sure_is_no_reason_to_give_up(spool, put):
    clock = Clock(lambda: put("a"))
    wait = ResultWait(spool, ["a"], Watch(Presence.UNSURE), timeout_s=None, rhythm=clock.rhythm)
    assert ids(wait.results()) == ["a"]


def test_time_is_up(spool):
    clock = Clock()
    wait = ResultWait(spool, ["a", "b"], Watch(), timeout_s=3, rhythm=clock.rhythm)
    with pytest.raises(TimeIsUp) as ended:
        list(wait.results())
    assert ended.value.missing == ("a", "b")
    assert clock.now == pytest.approx(103)


def test_a_timeout_of_zero_still_looks_once(spool, put):
    put("a")
    assert ids(ResultWait(spool, ["a"], Watch(), timeout_s=0, rhythm=Clock().rhythm).results()) == ["a"]
    with pytest.raises(TimeIsUp):
        list(ResultWait(spool, ["b"], Watch(), timeout_s=0, rhythm=Clock().rhythm).results())


def test_the_daemon_is_looked_for_less_often_than_results(spool, put):
    watch = Watch()
    clock = Clock(*[lambda: None] * 30, lambda: put("a"))
    list(ResultWait(spool, ["a"], watch, timeout_s=None, rhythm=clock.rhythm).results())
    assert watch.looks == 1


def test_what_is_lost_is_not_waited_for(spool, put):
    clock = Clock(lambda: put("a"))
    find_lost = {"b"}.intersection
    wait = ResultWait(
        spool, ["a", "b", "c"], Watch(), timeout_s=None, find_lost=find_lost, rhythm=clock.rhythm
    )
    seen = wait.results()
    assert next(seen).job_id == "a"
    with pytest.raises(JobsLost) as ended:
        next(seen)
    assert ended.value.missing == ("b",)
    assert clock.now < 110


def test_what_is_overlooked_once_is_not_lost(spool, put):
    """Files move while they are looked for."""
    looks = []

    def overlooked_at_times(job_ids):
        looks.append(job_ids)
        return job_ids if len(looks) % 2 else []

    clock = Clock(*[lambda: None] * 200, lambda: put("a"))
    wait = ResultWait(
        spool, ["a"], Watch(), timeout_s=None, find_lost=overlooked_at_times, rhythm=clock.rhythm
    )
    assert ids(wait.results()) == ["a"]
    assert 5 < len(looks) < 50


def test_what_was_published_last_is_not_lost(spool, put):
    """A result that came after the last look into the outbox."""

    def publish_and_forget(job_ids):
        if looks:
            put("a")
        looks.append(job_ids)
        return job_ids

    looks = []
    wait = ResultWait(
        spool, ["a"], Watch(), timeout_s=None, find_lost=publish_and_forget, rhythm=Clock().rhythm
    )
    assert ids(wait.results()) == ["a"]


def test_looking_for_what_is_lost_takes_a_small_share_of_the_time(spool, put):
    clock = Clock(*[lambda: None] * 400, lambda: put("a"))
    looks = []

    def slowly(job_ids):
        looks.append(clock.now)
        clock.now += 2
        return []

    list(ResultWait(spool, ["a"], Watch(), timeout_s=None, find_lost=slowly, rhythm=clock.rhythm).results())
    assert len(looks) > 2
    assert min(later - at for at, later in pairwise(looks)) > 40
