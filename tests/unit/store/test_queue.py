import pytest
from sqlalchemy import text

from kbd.store.engine import open_writer
from kbd.store.queue import _heads
from kbd.store.states import JobState

DATABASES = ("sqlite", "postgresql")


def line(store, limit=100, exclude=(), resting=(), **served):
    return [row.job_id for row in store.next_submitted(limit, exclude, resting, served)]


def test_priority_comes_before_arrival(store, make_job):
    store.add(
        [make_job("a"), make_job("b", priority=1), make_job("c", priority=-1), make_job("d", priority=1)]
    )
    assert line(store) == ["b", "d", "a", "c"]
    assert line(store, limit=2) == ["b", "d"]


def test_owners_take_turns(store, make_job):
    store.add([make_job(f"ann{number}", owner="ann") for number in range(4)])
    store.add([make_job("bob0", owner="bob"), make_job("bob1", owner="bob"), make_job("nobody")])
    assert line(store) == ["ann0", "bob0", "nobody", "ann1", "bob1", "ann2", "ann3"]


def test_whoever_has_waited_longest_comes_first_though_others_came_earlier(store, make_job):
    """On a single device nothing runs whenever the next one is asked for."""
    store.add([make_job(f"ann{number}", owner="ann") for number in range(9)])
    store.add([make_job("bob0", owner="bob"), make_job("eve0", owner="eve")])
    assert line(store, 1, ann=7) == ["bob0"]
    assert line(store, 1, ann=7, bob=8) == ["eve0"]
    assert line(store, 1, ann=7, bob=8, eve=9) == ["ann0"]
    assert line(store, 4, ann=7, bob=8, eve=6) == ["eve0", "ann0", "bob0", "ann1"]


def test_running_jobs_have_used_up_turns(store, make_job):
    store.add([make_job(f"ann{number}", owner="ann") for number in range(4)])
    store.add([make_job(f"bob{number}", owner="bob") for number in range(3)])
    store.begin_attempt("ann0", "cpu", JobState.VALIDATING)
    store.begin_attempt("ann1", "cpu", JobState.VALIDATING)
    assert line(store) == ["bob0", "bob1", "ann2", "bob2", "ann3"]


def test_taken_jobs_are_left_out_and_count_as_turns(store, make_job):
    store.add([make_job(f"ann{number}", owner="ann") for number in range(3)])
    store.add([make_job("bob0", owner="bob")])
    assert line(store, exclude={"ann0"}) == ["bob0", "ann1", "ann2"]
    assert line(store, limit=1, exclude=["ann0", "bob0", "unknown"]) == ["ann1"]


def test_resting_jobs_are_as_if_they_were_not_there(store, make_job):
    store.add([make_job(f"ann{number}", owner="ann") for number in range(4)])
    store.add([make_job("bob0", owner="bob"), make_job("bob1", owner="bob")])
    resting = {"ann0", "ann1", "ann2"}
    assert line(store, resting=resting) == ["ann3", "bob0", "bob1"]
    assert line(store, limit=1, resting=resting) == ["ann3"]
    assert line(store, exclude={"bob0"}, resting=resting) == ["ann3", "bob1"]
    assert line(store, resting={"unknown"})[0] == "ann0"


def test_a_job_put_back_keeps_its_place(store, make_job):
    store.add([make_job("a"), make_job("b")])
    store.begin_attempt("a", "cpu", JobState.VALIDATING)
    assert line(store) == ["b"]
    store.requeue("a", "device lost")
    assert line(store) == ["a", "b"]


@pytest.mark.fault("one owner floods the inbox")
def test_a_long_queue_does_not_keep_others_waiting(store, make_job):
    store.add([make_job(f"ann{number}", owner="ann") for number in range(2000)])
    store.add([make_job("bob", owner="bob")])
    assert line(store, limit=2) == ["ann0", "bob"]


@pytest.mark.parametrize("limit", [0, 1])
def test_no_jobs_no_line(store, limit):
    assert line(store, limit=limit) == []


def test_only_the_beginnings_are_read(state_dir):
    """However long the queue is: every look into `jobs` goes through its index or a row's own number."""
    engine = open_writer(state_dir)
    with engine.connect() as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {_heads('sqlite').text}"), {"depth": 1})
        steps = [str(step.detail) for step in plan if " jobs" in step.detail]
    engine.dispose()
    assert len(steps) == 4
    assert all("jobs_queue" in step or "INTEGER PRIMARY KEY" in step for step in steps), steps
