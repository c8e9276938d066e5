"""A daemon whose database fails for a moment while it starts, or while it looks at it for others, goes on."""

import errno
import itertools
import sqlite3
from contextlib import closing

import pytest

from kbd.daemon.claimant import claimant
from kbd.daemon.clerk import Clerk
from kbd.daemon.desk import open_spool
from kbd.daemon.opening import opened_desk
from kbd.inbox.lease import find_lease, take_lease
from kbd.store import engine as engine_module
from kbd.store.errors import StoreUnavailable
from kbd.store.location import database_path
from kbd.store.states import JobState
from tests.failing_calls import failing

pytestmark = pytest.mark.fault("the disk of the database fails for a moment")


@pytest.fixture
def open_patiently(settings, on_loop):
    """As a daemon opens its desk that has just become the owner."""
    spool = open_spool(settings)
    lease = take_lease(spool, claimant(settings.state, settings.limits.lease_s), find_lease(spool))
    clerk = Clerk()

    def start(pauses_s):
        opening = opened_desk(clerk, settings, spool, lease, after_crash=True, pauses_s=pauses_s)
        return on_loop(opening)

    yield start
    clerk.close()


@pytest.fixture
def unfinished(desk, queue):
    """A daemon has died while one of its jobs ran and another one waited."""
    queue("a", "b")
    desk.store.begin_attempt("a", "cpu0", JobState.COMPILING)
    desk.close()


@pytest.mark.fault("the database is locked")
def test_a_locked_database_is_waited_for(settings, open_patiently, monkeypatch):
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_S", 0.0)
    with closing(sqlite3.connect(database_path(settings.state), check_same_thread=False)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")

        def until_it_is_free():
            yield 0.0
            other.execute("ROLLBACK")
            yield 0.0

        desk = open_patiently(until_it_is_free())
    assert desk.store.queued() == 0
    desk.close()


@pytest.mark.fault("the database is locked")
def test_one_that_stays_locked_is_told_in_the_end(settings, open_patiently, monkeypatch):
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_S", 0.0)
    with closing(sqlite3.connect(database_path(settings.state), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            open_patiently([0.0])


@pytest.mark.usefixtures("unfinished")
@pytest.mark.parametrize("number", range(1, 40, 3))
def test_a_read_that_fails_while_files_and_rows_are_made_to_agree(open_patiently, number):
    with failing(("pread", "pread64"), {number}, errno.EIO):
        desk = open_patiently([0.0, 0.0])
    rows = {row.job_id: (row.state, row.attempts) for row in desk.store.next_submitted(5)}
    assert rows == {"a": (JobState.SUBMITTED, 1), "b": (JobState.SUBMITTED, 0)}
    desk.close()


def test_whichever_lock_of_a_look_fails_the_next_look_succeeds(desk, queue):
    """Also where nothing is written between them, as in a daemon without work."""
    queue("j")
    in_vain = 0
    for number in itertools.count(1):
        desk.store.relocate("j", f"claimed/{number}")
        again = 0
        with failing(("fcntl",), {number}, errno.EIO) as failed:
            while again < 2:
                try:
                    with desk.reading() as reader:
                        assert [row.job_id for row in reader.list()] == ["j"]
                    break
                except StoreUnavailable:
                    again += 1
        assert again < 2, f"call {number}"
        in_vain += again
        if not failed:
            break
    assert in_vain > 0, "SQLite looked over every failure"
