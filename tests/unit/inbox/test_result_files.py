import os

import pytest

from kbd.inbox import result_files
from kbd.inbox.errors import UnsafeFile
from kbd.inbox.result_files import FULL_LOOK_S, SETTLE_S, OutboxLooks, published_path, read_published
from kbd.inbox.spool import Spool


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


class Times:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def times():
    return Times()


@pytest.fixture
def put(spool):
    def write(job_id):
        published_path(spool, job_id).write_text("{}")

    return write


@pytest.fixture
def listings(monkeypatch):
    """Counts how often a folder is listed."""
    seen = []
    real = os.scandir
    monkeypatch.setattr(result_files.os, "scandir", lambda folder: seen.append(folder) or real(folder))
    return seen


def test_what_is_there_and_wanted(spool, put):
    looks = OutboxLooks(spool)
    put("a")
    put("b")
    assert looks.appeared({"a", "c"}) == ["a"]
    put("c")
    assert looks.appeared({"c"}) == ["c"]


def test_what_stays_wanted_is_told_again(spool, put):
    looks = OutboxLooks(spool)
    put("a")
    assert looks.appeared({"a"}) == looks.appeared({"a"}) == ["a"]


def test_one_listing_for_a_thousand(spool, put, listings):
    for number in range(1000):
        put(f"job-{number}")
    wanted = {f"job-{number}" for number in range(0, 2000, 2)}
    assert len(OutboxLooks(spool).appeared(wanted)) == 500
    assert len(listings) == 1


def test_few_of_many_are_opened_and_not_listed(spool, put, listings):
    for number in range(200):
        put(f"old-{number}")
    looks = OutboxLooks(spool)
    assert looks.appeared({"a", "b"}) == []
    put("b")
    assert looks.appeared({"a", "b"}) == ["b"]
    assert len(listings) == 1


def test_a_folder_that_does_not_change_is_not_read(spool, put, times, listings):
    looks = OutboxLooks(spool, times)
    for _ in range(3):
        looks.appeared({"a"})
        times.now += SETTLE_S
    before = len(listings)
    looks.appeared({"a"})
    assert len(listings) == before, "it has been quiet for long enough"
    put("a")
    assert looks.appeared({"a"}) == ["a"], "the change is seen at once"


def test_shortly_after_a_change_the_time_of_change_proves_nothing(spool, put, times, listings):
    looks = OutboxLooks(spool, times)
    looks.appeared({"a"})
    times.now += SETTLE_S / 2
    looks.appeared({"a"})
    assert len(listings) == 2


def test_it_is_read_now_and_then_whatever_it_says(spool, times, listings):
    looks = OutboxLooks(spool, times)
    for _ in range(3):
        looks.appeared({"a"})
        times.now += SETTLE_S
    times.now += FULL_LOOK_S
    before = len(listings)
    looks.appeared({"a"})
    assert len(listings) == before + 1


def test_somebody_new_is_looked_for_in_a_quiet_folder(spool, put, times):
    put("old")
    looks = OutboxLooks(spool, times)
    for _ in range(3):
        looks.appeared({"a"})
        times.now += SETTLE_S / 2 + 1
    assert looks.appeared({"a", "old"}) == ["old"]


def test_an_outbox_that_is_not_mounted_holds_nothing_yet(spool, put):
    spool.outbox.rename(spool.root / "away")
    looks = OutboxLooks(spool)
    assert looks.appeared({"a"}) == []
    (spool.root / "away").rename(spool.outbox)
    put("a")
    assert looks.appeared({"a"}) == ["a"]


def test_something_else_in_the_place_of_a_result_is_told_by_reading_it(spool):
    published_path(spool, "a").mkdir()
    assert OutboxLooks(spool).appeared({"a"}) == ["a"]
    with pytest.raises(UnsafeFile, match="folder"):
        read_published(spool, "a")


def test_reading(spool, put):
    assert read_published(spool, "a") is None
    put("a")
    assert read_published(spool, "a") == b"{}"
    with pytest.raises(ValueError, match="expected a job id"):
        read_published(spool, "../a")
