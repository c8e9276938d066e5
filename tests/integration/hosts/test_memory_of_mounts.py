"""What a mount remembers of a file that another host has changed is believed by nobody.

In each test the near mount has just seen what the far one then changes.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from kbd.daemon.cli.known_jobs import unknown_ids
from kbd.daemon.cli.place import Place
from kbd.daemon.database import require_local_disk
from kbd.inbox.control import Answer, AnswerCode, answer_path, take_answer
from kbd.inbox.daemon_signs import Presence, SnapshotWatch
from kbd.inbox.durable import replace_lightly, write_durably
from kbd.inbox.mounts import filesystem_of
from kbd.inbox.result_files import read_published
from kbd.inbox.scanner import Scanner
from kbd.inbox.sighting import Finding, Signature, examine
from kbd.inbox.spool import Spool
from kbd.inbox.watcher import InboxWatcher
from kbd.store.errors import StoreError

JOB = (Path(__file__).parents[2] / "double.yaml").read_text()


@pytest.fixture
def spools(tmp_path, make_mount):
    """One spool by two mounts."""
    folder = Spool.create(tmp_path / "spool").root
    return SimpleNamespace(near=Spool(make_mount(folder).point), far=Spool(make_mount(folder).point))


@pytest.fixture
def looking(spools):
    """A scanner of the near spool, and a function that has it look two seconds later each time."""
    clock = SimpleNamespace(now=1000.0)
    scanner = Scanner(spools.near, lambda: clock.now)

    def look():
        clock.now += 2.0
        return [delivery.name for delivery in scanner.look()]

    return look


def test_the_mount_is_known_for_one_that_others_share(spools):
    mount = filesystem_of(spools.near.inbox)
    assert (mount.fs_type, mount.is_network, mount.is_seen_by_others) == ("fuse", True, True)
    assert not InboxWatcher(spools.near, lambda hint: None).start()


@pytest.mark.fault("the database lies on a network file system")
def test_a_state_folder_there_is_refused(spools):
    with pytest.raises(StoreError, match="network file system"):
        require_local_disk(spools.near.root)


def test_a_snapshot_that_became_longer_is_read_whole(spools):
    def say(words):
        text = json.dumps({"version": 1, "daemon": {"pid": 1, "host": "gpu"}, "paused": words})
        replace_lightly(spools.far.status_file, text.encode(), temporary=spools.far.root / ".status.tmp")

    watch = SnapshotWatch(spools.near)
    for words in ("a", "two words", "three whole words"):
        say(words)
        presence, snapshot = watch.look()
        assert snapshot.paused == words
        spools.near.status_file.stat()
    assert presence is Presence.RUNNING


@pytest.mark.fault("a file is still growing")
def test_a_manifest_that_is_still_written_is_not_taken_for_whole(spools):
    """Half of it parses, and the near mount remembers that size."""
    (spools.far.inbox / "a.yaml").write_text("version: 1\n")
    path = spools.near.inbox / "a.yaml"
    signature = Signature.of(path.lstat())
    (spools.far.inbox / "a.yaml").write_text("version: 1\nid: a\n")
    assert Signature.of(path.lstat()) == signature, "remembered"
    assert examine(path, signature, limit_bytes=100) is Finding.CHANGED


@pytest.mark.fault("a file is still growing")
def test_a_folder_whose_files_are_still_written_is_not_taken_for_whole(spools, looking):
    folder = spools.far.inbox / "a.job"
    folder.mkdir()
    (folder / "job.yaml").write_text(JOB)
    (folder / "x.npy").write_bytes(b"half")
    assert looking() == []
    (folder / "x.npy").write_bytes(b"half and half")
    assert looking() == []


def test_an_answer_that_was_asked_for_too_early_is_found(spools):
    assert take_answer(spools.near, "t") is None
    answer = Answer(code=AnswerCode.DONE, message="done")
    text = answer.model_dump_json().encode()
    write_durably(answer_path(spools.far, "t"), text, tmp_folder=spools.far.answers, overwrite=False)
    assert take_answer(spools.near, "t") == answer


def test_a_job_whose_result_was_asked_for_too_early_is_known(spools, tmp_path):
    place = Place(spools.near.root, tmp_path / "state", spool_named=True)
    assert read_published(spools.near, "a") is None
    (spools.far.outbox / "a.json").write_text("{}")
    assert unknown_ids(place, ["a", "b"]) == ["b"]
