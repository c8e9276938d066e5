import os

import pytest

from kbd.inbox.errors import UnsafeFile
from kbd.inbox.result_files import published_path
from kbd.inbox.spool import Spool
from kbd.outbox.errors import PublishConflict, UnreadableResult
from kbd.outbox.publisher import Publication, publish, read_result


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


def test_a_result_appears_whole_and_nothing_else_stays(spool, passed):
    text = passed().to_json()
    assert publish(spool, "softmax-v7", text) == Publication(
        published_path(spool, "softmax-v7"), already=False
    )
    assert published_path(spool, "softmax-v7").read_text(encoding="utf-8") == text
    assert list(spool.outbox_tmp.iterdir()) == []
    assert read_result(spool, "softmax-v7") == passed()


def test_publishing_again_changes_nothing(spool):
    publish(spool, "j", "text ✓")
    before = os.stat(published_path(spool, "j"))
    assert publish(spool, "j", "text ✓").already
    after = os.stat(published_path(spool, "j"))
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_size,
    )
    assert list(spool.outbox_tmp.iterdir()) == []


def test_a_different_result_is_refused_and_the_first_stays(spool):
    publish(spool, "j", "first")
    with pytest.raises(PublishConflict, match="another id"):
        publish(spool, "j", "second")
    assert published_path(spool, "j").read_text(encoding="utf-8") == "first"
    assert list(spool.outbox_tmp.iterdir()) == []


def test_an_outbox_that_cannot_be_written_leaves_nothing(spool):
    spool.outbox_tmp.rmdir()
    with pytest.raises(FileNotFoundError):
        publish(spool, "j", "text")
    assert not published_path(spool, "j").exists()


@pytest.mark.parametrize("job_id", ["", "../j", "a/b", ".hidden", "x" * 129, "a\n", "a\0"])
def test_only_job_ids_become_paths(spool, job_id):
    with pytest.raises(ValueError, match="job id"):
        published_path(spool, job_id)


def test_no_result_yet(spool):
    assert read_result(spool, "j") is None


def test_something_else_in_the_place_of_a_result(spool):
    publish(spool, "broken", "{}")
    with pytest.raises(UnreadableResult, match=str(published_path(spool, "broken"))):
        read_result(spool, "broken")
    published_path(spool, "link").symlink_to(published_path(spool, "broken"))
    with pytest.raises(UnsafeFile):
        read_result(spool, "link")
