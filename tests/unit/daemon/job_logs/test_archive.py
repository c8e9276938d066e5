"""Where logs lie, and when they are removed."""

import os

import pytest

from kbd.daemon.job_logs.archive import DAY_S, LogArchive, Retention

NOW = 1_000_000_000.0
PLENTY = 1 << 40


@pytest.fixture
def archive(tmp_path):
    return LogArchive(tmp_path)


@pytest.fixture
def printed(archive):
    """A job whose last output is some days old."""

    def leave(job_id, days, nbytes=10, attempt=1):
        path = archive.path(job_id, attempt, "candidate")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * nbytes)
        for each in (path, path.parent, path.parents[1]):
            os.utime(each, (NOW - days * DAY_S,) * 2)
        return path

    return leave


@pytest.mark.parametrize("job_id", ["", "..", ".hidden", "a/b", "/etc", "a\0b", "x" * 129])
def test_no_name_leads_elsewhere(archive, job_id):
    with pytest.raises(ValueError, match="no log"):
        archive.path(job_id, 1, "candidate")


@pytest.mark.parametrize("name", ["", "..", "../candidate", "Candidate"])
def test_no_log_is_called_anything(archive, name):
    with pytest.raises(ValueError, match="no log"):
        archive.path("job", 1, name)


def test_attempts_in_their_order(archive, printed):
    assert archive.attempts("job") == []
    for attempt in (10, 9):
        printed(f"job{attempt}", 0, attempt=attempt)
        archive.path("job", attempt, "candidate").parent.mkdir(parents=True)
    assert archive.attempts("job") == [9, 10]


def test_old_logs_are_removed_and_young_ones_stay(archive, printed):
    old, young = printed("old", days=15), printed("young", days=13)
    assert archive.tidy(Retention(14, PLENTY), lambda: NOW) == 1
    assert not old.parents[1].exists()
    assert young.exists()
    assert archive.tidy(Retention(14, PLENTY), lambda: NOW) == 0


def test_the_oldest_go_first_where_there_is_too_much(archive, printed):
    logs = {name: printed(name, days, nbytes=100_000) for name, days in (("a", 3), ("b", 1), ("c", 2))}
    assert archive.tidy(Retention(14, 250_000), lambda: NOW) == 1
    assert [name for name, path in logs.items() if path.exists()] == ["b", "c"]


def test_there_may_be_no_logs_at_all(archive):
    assert archive.tidy(Retention(14, PLENTY)) == 0
