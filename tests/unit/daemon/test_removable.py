import os
import time

import pytest

from kbd.daemon import removable as removable_module
from kbd.daemon.job_logs.archive import DAY_S
from kbd.daemon.removable import (
    Removable,
    clock_of,
    done_jobs,
    job_logs,
    quarantined,
    remove_all,
    superfluous,
)
from kbd.inbox.spool import Spool


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def file_away(spool):
    """Lay a job's file into done/, so many days ago."""

    def put(name, days, folder=""):
        day = time.strftime("%Y%m%d", time.gmtime(removable_module.clock_of(spool) - days * DAY_S))
        path = spool.done / day / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 10)
        return path

    return put


def names(found):
    return sorted(path.name for each in found for path in each.paths)


def nobody(job_id):
    return False


def test_done_jobs_by_the_end_of_their_day(spool, file_away, monkeypatch):
    noon = 20_000.5 * DAY_S
    monkeypatch.setattr(removable_module, "clock_of", lambda spool: noon)
    file_away("a.yaml", 0)
    file_away("b.yaml", 40, "@team")
    (spool.done / "notes").mkdir()
    (spool.done / "20269999").mkdir()
    found = {each.paths[0].name: each for each in done_jobs(spool, nobody)}
    assert {name: (each.age_s / DAY_S, each.nbytes) for name, each in found.items()} == {
        "a.yaml": (0, 10),
        "b.yaml": (39.5, 10),
    }


@pytest.mark.parametrize(("days_since_midnight", "gone"), [(1 / 1440, []), (1, []), (1.01, ["late.yaml"])])
def test_a_job_done_just_before_midnight_is_no_day_old_after_it(
    spool, monkeypatch, days_since_midnight, gone
):
    midnight = 20_000 * DAY_S
    late = spool.done / time.strftime("%Y%m%d", time.gmtime(midnight - 60)) / "late.yaml"
    late.parent.mkdir()
    late.write_text("x")
    monkeypatch.setattr(removable_module, "clock_of", lambda spool: midnight + days_since_midnight * DAY_S)
    found, _ = superfluous(done_jobs(spool, nobody), older_than_s=DAY_S, max_bytes=None)
    assert names(found) == gone


def test_a_job_whose_result_is_owed_is_not_listed(spool, file_away):
    file_away("a.yaml", 40)
    file_away("b.yaml", 40).write_text("id: declared")
    assert names(done_jobs(spool, {"a"}.__contains__)) == ["b.yaml"]
    assert names(done_jobs(spool, {"declared"}.__contains__)) == ["a.yaml"]


def test_the_quarantine_by_its_reasons(spool):
    for name in ("a.yaml", "b.yaml"):
        (spool.quarantine / name).write_text("x")
        (spool.quarantine / f"{name}.reason.json").write_text("{}")
    old = clock_of(spool) - 40 * DAY_S
    os.utime(spool.quarantine / "a.yaml.reason.json", (old, old))
    os.utime(spool.quarantine / "b.yaml", (old, old))
    gone, _ = superfluous(quarantined(spool), older_than_s=30 * DAY_S, max_bytes=None)
    assert names(gone) == ["a.yaml", "a.yaml.reason.json"], "its own time may be its user's"


def test_logs(tmp_path):
    for name, days in {"a": 40, "b": 1, "c": 40}.items():
        log = tmp_path / "logs" / "jobs" / name / "1" / "candidate.log"
        log.parent.mkdir(parents=True)
        log.write_text("x")
        for path in (log, log.parent, log.parent.parent):
            os.utime(path, (time.time() - days * DAY_S,) * 2)
    gone, kept = superfluous(job_logs(tmp_path, {"c"}.__contains__), older_than_s=30 * DAY_S, max_bytes=None)
    assert (names(gone), names(kept)) == (["a"], ["b"])


@pytest.mark.parametrize(
    ("older_than_s", "max_bytes", "expected"),
    [
        (100, None, []),
        (25, None, ["c"]),
        (5, None, ["a", "b", "c"]),
        (100, 25, ["c"]),
        (100, 0, ["a", "b", "c"]),
    ],
)
def test_what_is_too_old_or_too_much(tmp_path, older_than_s, max_bytes, expected):
    found = [
        Removable((tmp_path / name,), 10, age_s) for name, age_s in {"c": 30.0, "a": 10.0, "b": 20.0}.items()
    ]
    gone, kept = superfluous(found, older_than_s=older_than_s, max_bytes=max_bytes)
    assert names(gone) == expected
    assert len(gone) + len(kept) == 3


def test_removal_takes_empty_folders_along_and_never_the_base(spool, file_away):
    alone = file_away("a.yaml", 40, "@team/+2")
    first, second = file_away("b.yaml", 50), file_away("c.yaml", 50)
    gone = [Removable((path,), 10, 0) for path in (alone, first)]
    assert list(remove_all(gone, spool.done)) == []
    assert [path.name for path in spool.done.iterdir()] == [second.parent.name]


def test_what_cannot_be_removed_is_told(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(f"not {path.name}")

    monkeypatch.setattr("kbd.daemon.removable.remove", refuse)
    (error,) = remove_all([Removable((tmp_path / "a",), 1, 0)], tmp_path)
    assert "not a" in str(error)


def test_asking_for_the_time_leaves_nothing(spool):
    assert abs(clock_of(spool) - time.time()) < DAY_S
    assert [path.name for path in spool.control.iterdir()] == ["answers"]
