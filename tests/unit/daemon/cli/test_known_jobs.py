import pytest

from kbd.daemon.cli.known_jobs import Whereabouts, inbox_jobs, unknown_ids, whereabouts


def test_nothing_is_known_to_an_empty_spool(place):
    assert unknown_ids(place, ["b", "a", "b"]) == ["b", "a"]


@pytest.mark.parametrize(
    "folder", ["inbox", "inbox/alice", "claimed/000002", "claimed/000002/takeover-000001/@alice"]
)
def test_a_job_is_known_by_its_file_name(place, folder):
    (place.spool_root / folder).mkdir(parents=True, exist_ok=True)
    (place.spool_root / folder / "a.yaml").write_text("{")
    assert unknown_ids(place, ["a"]) == []


def test_a_job_is_known_by_the_id_it_declares(place, spool):
    (spool.inbox / "some-file.yaml").write_text("id: a\n")
    assert unknown_ids(place, ["a", "b"]) == ["b"]


def test_a_job_is_known_to_the_database(place, has_queued):
    has_queued("a")
    assert unknown_ids(place, ["a", "b"]) == ["b"]


def test_a_job_is_known_by_its_result(place, has_published, make_result):
    has_published(make_result("a"))
    assert unknown_ids(place, ["a", "b"]) == ["b"]


@pytest.mark.parametrize("job_id", ["../../etc/passwd", "", ".hidden", "a/b", "x" * 200])
def test_what_cannot_be_an_id_is_unknown(place, job_id):
    assert unknown_ids(place, [job_id]) == [job_id]


def test_the_inbox_without_what_is_not_finished(spool):
    (spool.inbox / "alice").mkdir()
    for name in ("a.yaml", ".b.tmp", "c.part", "alice/d.json"):
        (spool.inbox / name).write_text("")
    (spool.inbox / "e.job").mkdir()
    assert {path.name for path in inbox_jobs(spool)} == {"a.yaml", "d.json", "e.job"}


def test_where_jobs_are_that_the_database_does_not_have(place, spool, has_published, make_result):
    (spool.inbox / "alice").mkdir()
    (spool.inbox / "alice" / "w.yaml").write_text("")
    (spool.claimed / "000001").mkdir()
    (spool.claimed / "000001" / "c.job").mkdir()
    has_published(make_result("p"))
    assert whereabouts(place, ["u", "c", "p", "w"]) == {
        "u": Whereabouts.UNSEEN,
        "c": Whereabouts.CLAIMED,
        "p": Whereabouts.OUTBOX,
        "w": Whereabouts.INBOX,
    }
