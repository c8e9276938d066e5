"""The database, whole and broken, and the SQLite beneath it."""

from dataclasses import replace

import pytest

from kbd.daemon.doctor.check import State
from kbd.daemon.doctor.database import database, sqlite
from kbd.store.engine import migrate, open_writer
from kbd.store.location import database_path


def test_none_yet(patient):
    (check,) = database(patient)
    assert check.state is State.OK


def test_a_good_one(patient):
    engine = open_writer(patient.settings.state)
    migrate(engine)
    engine.dispose()
    (check,) = database(patient)
    assert (check.state, check.finding) == (State.OK, "0 jobs")


def test_a_broken_one(patient):
    database_path(patient.settings.state).write_bytes(b"no database" * 1000)
    (check,) = database(patient)
    assert (check.state, "backup" in check.cure) == (State.FAIL, True)


def test_one_of_a_server_that_is_not_there(patient):
    url = f"postgresql://kbd@/kbd?host={patient.settings.state}"
    elsewhere = replace(patient, settings=replace(patient.settings, database=url))
    (check,) = database(elsewhere)
    assert (check.state, "kbd config show" in check.cure) == (State.FAIL, True)
    assert list(sqlite(elsewhere)) == []


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ((3, 6, 23), State.FAIL),
        ((3, 34, 1), State.FAIL),
        ((3, 35, 0), State.WARN),
        ((3, 40, 1), State.WARN),
        ((3, 51, 2), State.WARN),
        ((3, 51, 3), State.OK),
        ((3, 52, 0), State.OK),
    ],
)
def test_versions_that_are_too_old_or_have_the_fault_of_the_wal(patient, version, state):
    (check,) = sqlite(patient, version)
    assert check.state is state
    assert ".".join(map(str, version)) in check.finding
