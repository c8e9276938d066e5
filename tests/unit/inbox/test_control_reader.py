import contextlib
import errno
import json
import os

import pytest

from kbd.inbox import control_reader
from kbd.inbox.control import Answer, AnswerCode, ControlRequest, Verb, ask, take_answer
from kbd.inbox.control_reader import ControlReader
from kbd.inbox.failed_reads import READ_AGAIN_S
from kbd.inbox.spool import Spool, SpoolMissing

SETTLE_S = 2.0
DONE = Answer(code=AnswerCode.DONE, message="done")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def reader(spool, clock):
    return ControlReader(spool, clock, SETTLE_S)


def put(spool, name, content='{"verb": "wake"}', mtime=None):
    path = spool.control / name
    path.write_text(content)
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    return path


def tokens(reader):
    return [requested.token for requested in reader.look()]


def test_requests_are_returned_until_they_are_answered(spool, reader):
    token = ask(spool, ControlRequest(verb=Verb.CANCEL, job_id="a"))
    (requested,) = reader.look()
    assert (requested.token, requested.request.job_id) == (token, "a")
    assert tokens(reader) == [token]
    reader.answer(token, DONE)
    assert reader.look() == []
    assert take_answer(spool, token) == DONE


def test_the_oldest_first(spool, reader):
    put(spool, "a.json", mtime=3)
    put(spool, "b.json", mtime=1)
    put(spool, "c.json", mtime=2)
    assert tokens(reader) == ["b", "c", "a"]


def test_what_is_still_being_written_is_left_alone(spool, reader):
    put(spool, ".x.tmp")
    put(spool, "x.json~")
    assert reader.look() == []
    assert sorted(path.name for path in spool.control.iterdir()) == [".x.tmp", "answers", "x.json~"]


def test_what_is_no_request_goes_to_quarantine_once_it_is_unchanged(spool, reader, clock):
    put(spool, "x.json", '{"verb": "expl')
    assert reader.look() == []
    assert reader.next_look_s() == SETTLE_S
    clock.now += SETTLE_S / 2
    put(spool, "x.json", '{"verb": "explode"}')
    assert reader.look() == []
    clock.now += SETTLE_S * 0.9
    assert reader.look() == []
    assert (spool.control / "x.json").exists()
    clock.now += SETTLE_S
    assert reader.look() == []
    assert (spool.quarantine / "x.json").read_text() == '{"verb": "explode"}'
    reason = json.loads((spool.quarantine / "x.json.reason.json").read_text())
    assert reason["code"] == "invalid_request"
    assert reason["problems"][0]["pointer"] == "/verb"
    answer = take_answer(spool, "x")
    assert answer is not None
    assert answer.code is AnswerCode.REFUSED
    assert "'drain' or 'wake'" in answer.message
    assert reader.next_look_s() is None


def test_a_request_that_was_half_written_is_obeyed_when_it_is_whole(spool, reader):
    put(spool, "x.json", '{"verb":')
    assert reader.look() == []
    put(spool, "x.json")
    assert tokens(reader) == ["x"]


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder", "name", "huge", "garbage"])
def test_nothing_unsafe_is_followed_or_blocks(spool, clock, kind, tmp_path):
    path = spool.control / ("x y.json" if kind == "name" else "x.json")
    if kind == "symlink":
        (tmp_path / "secret.json").write_text('{"verb": "wake"}')
        path.symlink_to(tmp_path / "secret.json")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("x" * (1 << 20) if kind == "huge" else "no JSON")
    reader = ControlReader(spool, clock, settle_s=0)
    assert reader.look() == []
    assert not os.path.lexists(path)
    assert len(list(spool.quarantine.glob("*.reason.json"))) == 1


class Unreadable:
    """Stands for `read_request` while some files cannot be opened."""

    def __init__(self, monkeypatch, *names, code):
        self._names, self._code = names, code
        self._read = control_reader.read_request
        monkeypatch.setattr(control_reader, "read_request", self)

    def __call__(self, path):
        if path.name in self._names:
            raise OSError(self._code, os.strerror(self._code), str(path))
        return self._read(path)


@pytest.mark.fault("a permission is denied for a moment")
def test_a_request_that_cannot_be_read_for_a_moment_is_obeyed(spool, reader, clock, monkeypatch):
    put(spool, "x.json", mtime=1)
    put(spool, "y.json", mtime=2)
    with monkeypatch.context() as patch:
        Unreadable(patch, "x.json", code=errno.EACCES)
        for _ in range(3):
            assert tokens(reader) == ["y"], "one that can be read does not wait"
            assert reader.next_look_s() == READ_AGAIN_S
            clock.now += 2
    assert tokens(reader) == ["x", "y"]
    assert reader.next_look_s() is None


def test_a_request_that_nobody_may_read_is_refused_after_a_while(spool, reader, clock, monkeypatch):
    put(spool, "x.json")
    Unreadable(monkeypatch, "x.json", code=errno.EACCES)
    for _ in range(4):
        assert (spool.control / "x.json").exists()
        assert reader.look() == []
        clock.now += 2
    assert (spool.quarantine / "x.json").exists()
    answer = take_answer(spool, "x")
    assert answer.code is AnswerCode.REFUSED
    assert "chmod a+r" in answer.message
    assert reader.next_look_s() is None


def test_a_file_system_that_fails_refuses_no_request(spool, reader, clock, monkeypatch, caplog):
    put(spool, "x.json")
    with monkeypatch.context() as patch:
        Unreadable(patch, "x.json", code=errno.EIO)
        for _ in range(9):
            assert reader.look() == []
            clock.now += 2
    assert len(caplog.records) == 1
    assert tokens(reader) == ["x"]


def test_a_quarantine_that_is_full_is_not_tried_without_end(spool, reader, clock, monkeypatch):
    put(spool, "x.json", "no JSON")
    reader.look()
    clock.now += SETTLE_S
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert reader.look() == []
        assert reader.next_look_s() == SETTLE_S
    clock.now += SETTLE_S
    assert reader.look() == []
    assert (spool.quarantine / "x.json").exists()


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_flood_is_read_in_portions(spool, reader, monkeypatch):
    monkeypatch.setattr(control_reader, "LOOK_LIMIT", 3)
    for number in range(5):
        put(spool, f"x{number}.json", mtime=number + 1)
    assert tokens(reader) == ["x0", "x1", "x2"]
    assert reader.next_look_s() == 0.0
    for name in ("x0", "x1", "x2"):
        reader.answer(name, DONE)
    assert tokens(reader) == ["x3", "x4"]
    assert reader.next_look_s() is None


def test_a_withdrawn_request_is_forgotten(spool, reader):
    path = put(spool, "x.json", "{")
    reader.look()
    path.unlink()
    assert reader.look() == []
    assert reader.next_look_s() is None


def test_a_spool_that_is_not_mounted_is_not_empty(spool, reader):
    spool.sentinel.unlink()
    with pytest.raises(SpoolMissing):
        reader.look()


def test_a_spool_of_an_older_version_gets_its_folder(spool, clock):
    spool.answers.rmdir()
    ControlReader(spool, clock)
    assert spool.answers.is_dir()


def test_tidying_removes_what_it_has_seen_before_and_no_request(spool, reader):
    put(spool, "x.json")
    put(spool, ".old.tmp")
    reader.answer("old", DONE)
    assert reader.tidy() == 0
    put(spool, ".new.tmp")
    reader.answer("new", DONE)
    assert reader.tidy() == 2
    assert sorted(path.name for path in spool.control.iterdir()) == [".new.tmp", "answers", "x.json"]
    assert [path.name for path in spool.answers.iterdir()] == ["new.json"]


@pytest.mark.fault("a file handle is stale")
def test_one_of_which_nothing_can_be_told_keeps_no_other_waiting(spool, reader, monkeypatch):
    for name in ("a.json", "broken.json"):
        put(spool, name)
    monkeypatch.setattr(os, "scandir", with_broken_entry("broken.json"))
    with monkeypatch.context() as patch:
        patch.setattr(control_reader, "read_request", unless_broken(control_reader.read_request))
        assert tokens(reader) == ["a"]
        assert reader.next_look_s() == READ_AGAIN_S
    assert sorted(tokens(reader)) == ["a", "broken"]


def with_broken_entry(name):
    """A scandir of a file system that has lost the handle of one file."""
    scandir = os.scandir

    @contextlib.contextmanager
    def entries_of(path):
        with scandir(path) as entries:
            yield [Broken(entry) if entry.name == name else entry for entry in entries]

    return entries_of


class Broken:
    def __init__(self, entry):
        self.name, self.path = entry.name, entry.path

    def stat(self, **_):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self.path)


def unless_broken(read):
    def read_others(path):
        if path.name == "broken.json":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        return read(path)

    return read_others
