"""Requests are acted on and answered, also when something fails."""

import errno
from types import SimpleNamespace

import pytest

from kbd.daemon.clerk import Clerk
from kbd.daemon.controls import Controls
from kbd.inbox import intake as intake_module
from kbd.inbox.control import AnswerCode, ControlRequest, Verb, ask, take_answer
from kbd.inbox.epoch import EpochLost
from kbd.inbox.pause import Pause, read_pause
from kbd.outbox.publisher import read_result
from kbd.store.errors import StoreCorrupt, StoreUnavailable
from kbd.store.states import JobState

PAUSE = Pause(by="ann@box", reason="new driver", since="2025-01-01T00:00:00+00:00")


class Scheduler:
    """Runs nothing; cancels what is queued."""

    def __init__(self, desk):
        self._desk = desk
        self.running = {}
        self.resting = set()
        self.beaten_by = None

    async def cancel(self, row, result):
        if self.beaten_by is not None:
            self._desk.store.finish(row.job_id, JobState.COMPLETED, "{}", self.beaten_by)
        first = self._desk.store.finish(row.job_id, JobState.CANCELLED, result.to_json(), "cancelled")
        self._desk.publishing.publish_one(row.job_id)
        return first

    def hurry(self, job_id):
        return job_id in self.resting


@pytest.fixture
def scheduler(desk):
    return Scheduler(desk)


@pytest.fixture
def looked():
    return []


@pytest.fixture
def make_controls(desk, scheduler, looked, on_loop):
    clerk = Clerk()

    def made(pause=None):
        return Controls(
            clerk, desk, scheduler, pause, interval_s=30.0, look_into_inbox=lambda: looked.append(True)
        )

    yield made
    clerk.close()


@pytest.fixture
def controls(make_controls):
    return make_controls()


@pytest.fixture
def asked(desk, on_loop):
    """Ask for something; the answer."""

    def answered(controls, verb, job_id=None, **details):
        token = ask(desk.spool, ControlRequest(verb=verb, job_id=job_id, by="ann@box", **details))
        controls.look_now()
        assert on_loop(controls.obey())
        return take_answer(desk.spool, token)

    return answered


def test_without_requests_nothing_happens(controls, on_loop):
    assert not on_loop(controls.obey())
    assert 0 < controls.due_in_s <= 30


def test_a_request_that_trips_kbd_is_answered_and_ends_no_daemon(controls, asked, desk, monkeypatch):
    def trip(_job_id):
        raise RecursionError("too deep")

    monkeypatch.setattr(desk.store, "get", trip)
    answer = asked(controls, Verb.CANCEL, "a")
    assert (answer.code, "RecursionError: too deep" in answer.message) == (AnswerCode.REFUSED, True)
    assert list(desk.spool.control.glob("*.json")) == []


@pytest.mark.parametrize("error", [EpochLost("taken over"), StoreCorrupt("damaged")])
def test_what_has_to_end_the_daemon_ends_it(controls, asked, desk, monkeypatch, error):
    def fail(_job_id):
        raise error

    monkeypatch.setattr(desk.store, "get", fail)
    with pytest.raises(type(error)):
        asked(controls, Verb.CANCEL, "a")


def test_cancel_what_waits_in_the_queue(controls, asked, desk, queue):
    queue("a")
    assert asked(controls, Verb.CANCEL, "a", reason="why").code is AnswerCode.DONE
    assert read_result(desk.spool, "a").error.message == "by ann@box, before it began: why"


def test_cancel_what_waits_in_the_inbox(make_controls, asked, desk):
    (desk.spool.inbox / "a.yaml").write_text(
        'candidate: {kernel_type: torch, source_code: "def f(x): return x"}\n'
        "io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}\n"
    )
    (desk.spool.inbox / "bad.yaml").write_text("no job\n")
    controls = make_controls(PAUSE)
    assert asked(controls, Verb.CANCEL, "a").code is AnswerCode.DONE
    answer = asked(controls, Verb.CANCEL, "bad")
    assert (answer.code, "invalid_job" in answer.message) == (AnswerCode.FINISHED, True)
    assert list(desk.spool.inbox.iterdir()) == []


@pytest.mark.fault("a permission is denied for a moment")
def test_cancel_what_was_claimed_and_cannot_be_read_yet(
    controls, asked, desk, deliver, files_in, restart, monkeypatch
):
    def denied(*_args, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(intake_module, "read_job", denied)
    assert desk.take_in.round([deliver("a.yaml", owner="ann")]).waiting == 1
    answer = asked(controls, Verb.CANCEL, "a", reason="why")
    assert (answer.code, answer.message) == (
        AnswerCode.DONE,
        "a is cancelled; its file could not be read yet",
    )
    assert asked(controls, Verb.CANCEL, "a").message == "a had ended before: cancelled"
    assert "before its file was read" in asked(controls, Verb.RETRY, "a").message
    monkeypatch.undo()
    desk = restart()
    assert (len(desk.take_in.put_off), desk.publishing.publish_owed()) == (0, 1)
    row, result = desk.store.get("a"), read_result(desk.spool, "a")
    assert (row.state, row.owner, row.claimed_path.split("/")[0]) == (JobState.CANCELLED, "ann", "done")
    assert (result.status, result.error.message) == ("cancelled", "by ann@box, before it began: why")
    assert (files_in("claimed"), files_in("quarantine")) == ([], [])


def test_cancel_reads_once_more_what_could_not_be_read(controls, asked, desk, deliver, monkeypatch):
    def failing(*_args, **_options):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "read_job", failing)
        desk.take_in.round([deliver("a.yaml")])
    assert asked(controls, Verb.CANCEL, "a").message == "a is cancelled"
    assert desk.store.get("a").manifest_text is not None


def test_cancel_what_could_not_be_made_durable_yet(controls, asked, desk, deliver, monkeypatch):
    def failing(_folder):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "fsync_folder", failing)
        with pytest.raises(OSError, match="Input/output error"):
            desk.take_in.round([deliver("a.yaml")])
        assert asked(controls, Verb.CANCEL, "a").code is AnswerCode.UNAVAILABLE
    assert asked(controls, Verb.CANCEL, "a").message == "a is cancelled"


def test_what_cannot_be_cancelled_unread_is_read_later(controls, asked, desk, deliver, monkeypatch):
    def failing(*_args, **_options):
        raise OSError(errno.EIO, "Input/output error")

    def locked(*_):
        raise StoreUnavailable("locked")

    desk.take_in.put_off.again_s = 0.0
    with monkeypatch.context() as patch:
        patch.setattr(intake_module, "read_job", failing)
        patch.setattr(desk.store, "add_rejected", locked)
        desk.take_in.round([deliver("a.yaml")])
        assert asked(controls, Verb.CANCEL, "a").code is AnswerCode.UNAVAILABLE
    assert desk.take_in.round([]).queued == 1


def test_cancel_what_is_over_or_unknown(controls, asked, desk, queue):
    queue("a")
    desk.store.finish("a", JobState.COMPLETED, "{}", "timeout")
    answer = asked(controls, Verb.CANCEL, "a")
    assert (answer.code, answer.message) == (AnswerCode.FINISHED, "a had ended before: timeout")
    assert asked(controls, Verb.CANCEL, "b").code is AnswerCode.NOT_FOUND


def test_cancel_that_comes_second(controls, asked, scheduler, queue):
    queue("a")
    scheduler.beaten_by = "passed"
    answer = asked(controls, Verb.CANCEL, "a")
    assert (answer.code, answer.message) == (AnswerCode.FINISHED, "a had ended before: passed")


def test_retry(controls, asked, desk, scheduler, queue, looked):
    queue("a")
    assert asked(controls, Verb.RETRY, "a").code is AnswerCode.REFUSED
    scheduler.resting.add("a")
    assert asked(controls, Verb.RETRY, "a").job_id == "a"
    scheduler.resting.clear()
    desk.store.finish("a", JobState.FAILED, "{}", "harness_error")
    looked.clear()
    assert asked(controls, Verb.RETRY, "a").job_id == "a.r1"
    assert looked


def test_rerun(controls, asked, desk, queue, looked):
    queue("a")
    assert asked(controls, Verb.RERUN, "a").code is AnswerCode.REFUSED
    desk.store.finish("a", JobState.COMPLETED, '{"seed": 4}', "passed")
    looked.clear()
    assert asked(controls, Verb.RERUN, "a").job_id == "a.r1"
    assert looked


def test_pause_and_resume(controls, asked, desk, looked):
    assert asked(controls, Verb.PAUSE, reason="new driver").code is AnswerCode.DONE
    assert controls.pause == read_pause(desk.spool)
    assert (controls.pause.by, controls.pause.reason) == ("ann@box", "new driver")
    again = asked(controls, Verb.PAUSE, reason="another")
    assert "already by ann@box" in again.message
    assert read_pause(desk.spool).reason == "new driver"
    assert asked(controls, Verb.RESUME).message == "the pause ended"
    assert controls.pause is read_pause(desk.spool) is None
    assert looked
    assert asked(controls, Verb.RESUME).message == "nothing was paused"


def test_a_pause_that_cannot_be_kept_is_none(controls, asked, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kbd.daemon.controls.keep_pause", full)
    answer = asked(controls, Verb.PAUSE)
    assert (answer.code, controls.pause) == (AnswerCode.UNAVAILABLE, None)


def test_drain_is_taken_back_by_resume(make_controls, asked, scheduler, queue):
    queue("a")
    scheduler.running = {"b": SimpleNamespace()}
    controls = make_controls()
    assert (
        asked(controls, Verb.DRAIN, reason="reboot").message == "it ends after its jobs (1 running, 1 queued)"
    )
    assert controls.drain.reason == "reboot"
    assert asked(controls, Verb.RESUME).message == "the drain ended"
    assert controls.drain is None
    assert "the queue stays" in asked(make_controls(PAUSE), Verb.DRAIN).message


def test_wake(controls, asked, looked):
    assert asked(controls, Verb.WAKE).code is AnswerCode.DONE
    assert looked


def test_a_failing_database_is_answered(controls, asked, desk, monkeypatch):
    def locked(*_):
        raise StoreUnavailable("locked just now")

    monkeypatch.setattr(desk.store, "get", locked)
    answer = asked(controls, Verb.CANCEL, "a")
    assert (answer.code, answer.message) == (AnswerCode.UNAVAILABLE, "locked just now")


def test_a_request_that_could_not_be_answered_is_done_again(controls, asked, desk, on_loop, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(desk.control, "answer", full)
        assert asked(controls, Verb.PAUSE) is None
    assert 0 < controls.due_in_s <= 2
    (path,) = desk.spool.control.glob("*.json")
    controls.look_now()
    assert on_loop(controls.obey())
    assert take_answer(desk.spool, path.stem).code is AnswerCode.DONE


@pytest.mark.parametrize("break_it", ["unmount", "unlist"])
def test_a_folder_that_cannot_be_read_is_looked_at_again_soon(controls, desk, on_loop, break_it):
    if break_it == "unmount":
        desk.spool.sentinel.unlink()
    else:
        desk.spool.control.rename(desk.spool.root / "away")
    assert not on_loop(controls.obey())
    assert 0 < controls.due_in_s <= 2


def test_requests_of_one_look_begin_in_their_order(controls, desk, on_loop):
    for name, verb in (("a", "pause"), ("b", "resume"), ("c", "pause")):
        (desk.spool.control / f"{name}.json").write_text(f'{{"verb": "{verb}", "reason": "{name}"}}')
    on_loop(controls.obey())
    assert controls.pause.reason == "c"
    assert read_pause(desk.spool).reason == "c"
