"""What no result will ever come for, and what is said then."""

import pytest

from kbd.daemon.cli import lost_jobs as lost_jobs_module
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.lost_jobs import lost_ids, lost_jobs

OTHER = "id: other\n"


@pytest.mark.parametrize("folder", ["inbox", "inbox/ann", "claimed/000001", "claimed/000001/@ann"])
def test_a_file_that_declares_another_id(place, folder):
    (place.spool_root / folder).mkdir(parents=True, exist_ok=True)
    (place.spool_root / folder / "a.yaml").write_text(OTHER)
    assert lost_ids(place, ["a", "other"]) == {"a"}


def test_a_file_that_declares_another_id_while_a_second_one_declares_that_of_its_name(place, spool):
    (spool.inbox / "a.yaml").write_text(OTHER)
    (spool.inbox / "b.yaml").write_text("id: a\n")
    assert lost_ids(place, ["a", "other", "b"]) == {"b"}


@pytest.mark.parametrize("text", ["", "id: a\n", "{", "id: [1]\n"])
def test_a_file_that_declares_no_other_id(place, spool, text):
    (spool.inbox / "a.yaml").write_text(text)
    assert lost_ids(place, ["a"]) == frozenset()


def test_what_is_on_its_way_or_has_ended_is_not_lost(place, spool, has_queued, has_published, make_result):
    has_queued("queued")
    (spool.inbox / "queued.yaml").write_text(OTHER)
    has_published(make_result("published"))
    assert lost_ids(place, ["queued", "published", "gone"]) == {"gone"}


def test_nothing_is_lost_while_too_many_files_would_have_to_be_read(place, spool, monkeypatch):
    monkeypatch.setattr(lost_jobs_module, "FILES_READ", 1)
    (spool.inbox / "a.yaml").write_text(OTHER)
    assert lost_ids(place, ["a"]) == {"a"}
    (spool.inbox / "b.yaml").write_text("")
    assert lost_ids(place, ["a"]) == frozenset()


@pytest.mark.fault("the spool is unmounted")
def test_nothing_is_lost_while_the_spool_is_away(place, spool):
    spool.sentinel.unlink()
    assert lost_ids(place, ["a"]) == frozenset()


@pytest.mark.parametrize("folder", ["inbox", "claimed/000001", "done/20260102/@ann", "quarantine"])
def test_the_declared_id_is_told_wherever_the_file_is(place, folder):
    (place.spool_root / folder).mkdir(parents=True, exist_ok=True)
    (place.spool_root / folder / "a.yaml").write_text(OTHER)
    failed = lost_jobs(place, ["a", "b"])
    assert failed.code == ExitCode.NOT_FOUND
    assert f"the file delivered as a declares the id other: kbd wait --spool {place.spool_root} other" in str(
        failed
    )
    assert "belongs to b any more" in str(failed)


def test_the_latest_file_of_a_name_counts(place, spool):
    for day, text in {"20250101": "id: old\n", "20260101": "id: new\n"}.items():
        (spool.done / day).mkdir()
        (spool.done / day / "a.yaml").write_text(text)
    assert "declares the id new" in str(lost_jobs(place, ["a"]))


def test_many_are_counted(place):
    assert "nor will there be results of 3 other jobs" in str(lost_jobs(place, list("abcdefgh")))
