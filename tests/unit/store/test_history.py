"""Old jobs are forgotten by age and by number, with all that hangs on them; never one that is not published."""

import pytest

from kbd.store import history as history_module
from kbd.store.history import History
from kbd.store.jobs import JobStore
from kbd.store.states import JobState

DATABASES = ("sqlite", "postgresql")

DAY_S = 86_400.0


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def store(engine, clock):
    return JobStore(engine, clock=lambda: clock[0])


@pytest.fixture
def fill(store, make_job, clock):
    """Jobs that ended a day after each other; all but the named ones are published."""

    def add(*names, unpublished=(), unfinished=()):
        for day, name in enumerate(names):
            clock[0] = day * DAY_S
            store.add([make_job(name, labels={"day": str(day)})])
            if name in unfinished:
                continue
            store.begin_attempt(name, "cpu0", JobState.COMPILING)
            store.finish(name, JobState.COMPLETED, "text", "passed")
            if name not in unpublished:
                store.mark_published(name)

    return add


def left(reader):
    return sorted(job.job_id for job in reader.list())


def test_by_number_the_oldest_go_first(store, fill, reader):
    fill(*"abcde")
    assert store.forget(History(days=0, jobs=3)) == 2
    assert left(reader) == ["c", "d", "e"]
    assert store.forget(History(days=0, jobs=3)) == 0


def test_by_age(store, fill, reader, clock):
    fill(*"abcde")
    clock[0] = 4 * DAY_S
    assert store.forget(History(days=2, jobs=100)) == 2
    assert left(reader) == ["c", "d", "e"]


def test_what_is_not_published_or_not_over_is_never_forgotten(store, fill, reader, clock):
    fill(*"abcd", unpublished="a", unfinished="b")
    clock[0] = 1000 * DAY_S
    assert store.forget(History(days=1, jobs=1)) == 2
    assert left(reader) == ["a", "b"]
    assert store.get("a").result_text == "text"


def test_counts_follow_and_nothing_hangs_on(store, fill, reader, engine):
    fill(*"abc")
    store.forget(History(days=0, jobs=1))
    assert reader.counts()[JobState.COMPLETED] == 1
    assert reader.status_counts() == {"passed": 1}
    with engine.connect() as connection:
        for table in ("manifests", "results", "attempts", "labels"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 1, table


def test_many_take_several_transactions(store, fill, reader, monkeypatch, clock):
    monkeypatch.setattr(history_module, "BATCH", 2)
    fill(*"abcdefg")
    clock[0] = 100 * DAY_S
    assert store.forget(History(days=95, jobs=6)) == 5
    assert left(reader) == ["f", "g"]


def test_a_forgotten_job_can_come_again(store, fill, make_job):
    fill("a", "b")
    store.forget(History(days=0, jobs=1))
    assert store.get("a") is None
    store.add([make_job("a")])
    assert store.get("a").state is JobState.SUBMITTED
