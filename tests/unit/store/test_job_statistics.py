"""Groups, hours and texts of many jobs, and that each job is met once."""

import json

import pytest

from kbd.store.job_statistics import StatisticsReader
from kbd.store.jobs import JobStore
from kbd.store.new_job import NewJob
from kbd.store.source import open_source
from kbd.store.states import JobState

DATABASES = ("sqlite", "postgresql")


class Clock:
    """Says what it was set to."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def history(engine):
    """Four jobs an hour apart: a passed one, two that crashed, one that waits."""
    clock = Clock()
    store = JobStore(engine, clock=clock)

    def add(number, owner=""):
        clock.now = 3_600.0 * number
        manifest = json.dumps({"candidate": {"kernel_type": "torch"}, "number": number})
        store.add(
            [
                NewJob(
                    job_id=f"j{number}",
                    manifest_sha256=f"{number:064}",
                    manifest_text=manifest,
                    claimed_path=f"claimed/1/{number}",
                    owner=owner,
                )
            ]
        )

    def end(number, status, blame=None):
        store.begin_attempt(f"j{number}", "cpu0", JobState.VALIDATING)
        clock.now += 10.0
        store.finish(f"j{number}", JobState.COMPLETED, json.dumps({"n": number}), status, blame=blame)

    add(1)
    end(1, "passed")
    add(2, "alice")
    end(2, "crashed", "candidate")
    add(3, "alice")
    end(3, "crashed", "candidate")
    add(4)
    return store


@pytest.fixture
def reader(history, state_dir, database):
    with open_source(state_dir, database) as source:
        yield lambda since=None: StatisticsReader(source, since)


def test_groups_hold_every_job_once(reader):
    groups = {(group.status, group.owner): group for group in reader().groups()}
    assert {key: group.jobs for key, group in groups.items()} == {
        ("passed", ""): 1,
        ("crashed", "alice"): 2,
        (None, ""): 1,
    }
    crashed = groups["crashed", "alice"]
    assert (crashed.first_arrival, crashed.latest_end) == (7_200.0, 10_810.0)
    assert (crashed.blame, crashed.device, crashed.state) == ("candidate", "cpu0", JobState.COMPLETED)


def test_ends_by_hour(reader):
    assert reader().ends_by_hour() == {1: 1, 2: 1, 3: 1}


def test_since(reader):
    assert sum(group.jobs for group in reader(since=7_200.0).groups()) == 3
    assert reader(since=7_200.0).ends_by_hour() == {2: 1, 3: 1}
    assert reader(since=1e9).groups() == []
    assert len(list(reader(since=10_000.0).latest_texts(10))) == 2


@pytest.mark.parametrize("batch", [1, 2, 3, 200])
def test_texts_come_latest_first_in_any_batches(reader, monkeypatch, batch):
    monkeypatch.setattr("kbd.store.job_statistics._TEXTS_PER_QUERY", batch)
    texts = list(reader().latest_texts(100))
    assert [job.manifest["number"] for job in texts] == [4, 3, 2, 1]
    assert [job.result for job in texts] == [None, {"n": 3}, {"n": 2}, {"n": 1}]
    assert len(list(reader().latest_texts(3))) == 3
    assert list(reader().latest_texts(0)) == []


def test_a_text_that_cannot_be_read_is_none(history, reader):
    history.add(
        [NewJob(job_id="odd", manifest_sha256="0" * 64, manifest_text="[{", claimed_path="claimed/1/odd")]
    )
    assert next(reader().latest_texts(1)).manifest is None
