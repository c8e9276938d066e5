"""Reconciling: whatever a daemon left behind, the next start makes files and rows agree."""

import errno
import json
import os
import shutil

import pytest
from structlog.testing import capture_logs

from kbd.daemon.assembly import JobIdentity, refused
from kbd.daemon.take_in import BATCH
from kbd.inbox import strays as strays_module
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.jobs import JobStore
from kbd.store.location import made_path
from kbd.store.rows import COMPILER
from kbd.store.states import JobState

DEVICE = "cpu0"


def done_text(job_id, manifest_sha256=""):
    """A result as it is published."""
    result = refused(
        JobIdentity(job_id, manifest_sha256, 1, {}),
        EvaluationStatus.UNSUPPORTED,
        Blame.JOB,
        Stage.LOAD,
        ErrorReport(type="Unsupported", message="not here"),
    )
    return result.to_json()


def finish(desk, job_id):
    """Make a running job final, as a verdict does."""
    text = done_text(job_id, desk.store.get(job_id).manifest_sha256)
    desk.store.finish(job_id, JobState.COMPLETED, text, "unsupported")


def claimed_file(desk, job_id):
    return desk.spool.root / desk.store.get(job_id).claimed_path


def outcome_of(restart):
    """The next start, and what it found."""
    with capture_logs() as logs:
        desk = restart()
    (found,) = [record for record in logs if record.get("action") == "reconciled"]
    return desk, {name: found[name] for name in ("read", "requeued", "given_up", "lost", "elsewhere")}


NOTHING = {"read": 0, "requeued": 0, "given_up": 0, "lost": 0, "elsewhere": 0}


def test_a_clean_end_leaves_nothing_to_do(restart, queue):
    queue("j")
    desk, found = outcome_of(restart)
    assert found == NOTHING
    assert desk.store.get("j").state is JobState.SUBMITTED


def test_claimed_without_a_row_is_read_and_queued(restart, desk, deliver):
    path = deliver("j.yaml")
    path.rename(next(desk.spool.claimed.iterdir()) / "j.yaml")
    desk, found = outcome_of(restart)
    assert found == NOTHING | {"read": 1}
    assert desk.store.get("j").state is JobState.SUBMITTED
    assert claimed_file(desk, "j").exists()


def test_a_whole_queue_without_rows_is_read_in_batches_and_a_start_that_was_cut_short_goes_on(
    restart, desk, deliver, monkeypatch
):
    """As after a takeover from a host that had a database of its own."""
    epoch = next(desk.spool.claimed.iterdir())
    for number in range(2 * BATCH + 1):
        name = f"j{number:03d}.yaml"
        deliver(name).rename(epoch / name)
    add, batches = JobStore.add, []

    def die_at_the_second(store, jobs):
        batches.append(len(jobs))
        if len(batches) == 2:
            raise SystemExit
        return add(store, jobs)

    monkeypatch.setattr(JobStore, "add", die_at_the_second)
    with pytest.raises(SystemExit):
        restart()
    desk, found = outcome_of(restart)
    assert found == NOTHING | {"read": BATCH + 1}
    assert batches == [BATCH, BATCH, BATCH, 1]
    assert desk.store.queued() == 2 * BATCH + 1


def test_claimed_without_a_row_and_no_job_is_refused(restart, desk, deliver, files_in):
    path = deliver("j.yaml", "not a job")
    path.rename(next(desk.spool.claimed.iterdir()) / "j.yaml")
    desk, found = outcome_of(restart)
    assert found == NOTHING | {"read": 1}
    assert desk.store.get("j").status == "invalid_job"
    assert files_in("claimed") == []


@pytest.mark.parametrize("state", [JobState.COMPILING, JobState.VALIDATING, JobState.PROFILING])
def test_a_running_job_is_queued_again(restart, queue, desk, state):
    queue("j")
    desk.store.begin_attempt("j", DEVICE, JobState.COMPILING)
    desk.store.advance("j", state)
    desk, found = outcome_of(restart)
    assert found == NOTHING | {"requeued": 1}
    row = desk.store.get("j")
    assert (row.state, row.attempts) == (JobState.SUBMITTED, 1)


def test_a_job_that_takes_every_daemon_down_is_given_up(restart, queue, desk):
    queue("j")
    for _ in range(2):
        desk.store.begin_attempt("j", DEVICE, JobState.COMPILING)
        desk, found = outcome_of(restart)
    assert found == NOTHING | {"given_up": 1}
    row = desk.store.get("j")
    assert (row.state, row.status, row.blame) == (JobState.COMPLETED, "crashed", "harness")
    assert "the daemon died 2 times" in row.error_message
    (note,) = json.loads(row.result_text)["notes"]
    assert note == f"given up after 2 attempts; attempt 1 on {DEVICE}: the daemon ended while the job ran"
    assert desk.publishing.publish_owed() == 1


@pytest.mark.parametrize(
    ("device", "state", "stage"),
    [
        (COMPILER, JobState.COMPILING, "compile"),
        (DEVICE, JobState.COMPILING, "load"),
        (DEVICE, JobState.VALIDATING, "correctness"),
        (DEVICE, JobState.PROFILING, "timing"),
    ],
)
def test_a_job_that_is_given_up_tells_how_far_it_had_come(restart, queue, desk, device, state, stage):
    queue("j")
    for _ in range(2):
        desk.store.begin_attempt("j", device, JobState.COMPILING)
        desk.store.advance("j", state)
        desk = restart()
    assert desk.store.get("j").stage == stage
    result = json.loads(desk.store.get("j").result_text)
    assert (result["status"], result["stage"], result["attempt"]) == ("crashed", stage, 2)


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.fault("a job is deleted from claimed/")
def test_an_open_job_whose_file_is_gone_gets_a_result(restart, queue, desk, running):
    queue("j")
    if running:
        desk.store.begin_attempt("j", DEVICE, JobState.COMPILING)
    claimed_file(desk, "j").unlink()
    desk, found = outcome_of(restart)
    assert found == NOTHING | {"lost": 1, "elsewhere": 0}
    row = desk.store.get("j")
    assert (row.state, row.status) == (JobState.FAILED, "harness_error")
    assert "deleted from claimed/" in row.error_message
    assert json.loads(row.result_text)["error"]["type"] == "Lost"


def test_a_final_job_is_published_by_the_first_round(restart, queue, desk, files_in):
    queue("j")
    desk.store.begin_attempt("j", DEVICE, JobState.COMPILING)
    finish(desk, "j")
    text = desk.store.get("j").result_text
    desk, found = outcome_of(restart)
    assert found == NOTHING
    assert desk.publishing.publish_owed() == 1
    assert (desk.spool.outbox / "j.json").read_text() == text
    assert (files_in("claimed"), files_in("done")) == ([], ["j.yaml"])


def test_a_final_job_that_was_filed_but_not_marked(restart, queue, desk, files_in):
    queue("j")
    desk.store.begin_attempt("j", DEVICE, JobState.COMPILING)
    finish(desk, "j")
    text = desk.store.get("j").result_text
    (desk.spool.outbox / "j.json").write_text(text)
    desk.publishing._intake.finish(claimed_file(desk, "j"))
    desk, found = outcome_of(restart)
    assert found == NOTHING, "its file lies where it belongs"
    assert desk.store.get("j").status == "unsupported"
    assert desk.publishing.publish_owed() == 1
    assert desk.publishing.publish_owed() == 0
    assert (desk.spool.outbox / "j.json").read_text() == text
    assert files_in("done") == ["j.yaml"]


def test_half_written_results_are_removed(restart, desk):
    (desk.spool.outbox_tmp / "j.json.123").write_text("{")
    (desk.spool.outbox_tmp / "folder").mkdir()
    desk = restart()
    assert [path.name for path in desk.spool.outbox_tmp.iterdir()] == ["folder"]


@pytest.mark.fault("a file handle is stale")
def test_a_deleted_file_that_somebody_has_open_on_nfs_keeps_no_daemon_from_starting(
    restart, desk, monkeypatch
):
    busy = desk.spool.outbox_tmp / ".nfs0000000000a1"
    busy.write_text("{")
    (desk.spool.outbox_tmp / "j.json.123").write_text("{")
    unlink = os.unlink

    def refuse(path, **options):
        if os.fspath(path) == os.fspath(busy):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    desk = restart()
    assert [path.name for path in desk.spool.outbox_tmp.iterdir()] == [busy.name]


def test_a_refusal_that_was_recorded_and_not_moved(restart, desk, deliver, files_in, monkeypatch):
    monkeypatch.setattr(desk.take_in._intake, "quarantine_all", lambda items: items)
    desk.take_in.round([deliver("j.yaml", "not a job")])
    assert files_in("claimed") == ["j.yaml"]
    result = desk.store.get("j").result_text
    desk = restart()
    assert files_in("claimed") == []
    assert "j.yaml.reason.json" in files_in("quarantine")
    assert desk.store.get("j").result_text == result
    assert desk.publishing.publish_owed() == 0


# --- one takeover after another ---------------------------------------------------------------------


def test_jobs_are_followed_through_many_takeovers(restart, queue, desk, files_in):
    queue("a")
    queue("b", owner="ann")
    for _ in range(4):
        desk, found = outcome_of(restart)
        assert found == NOTHING
    for job_id in ("a", "b"):
        assert claimed_file(desk, job_id).exists()
        assert "takeover-000001" in desk.store.get(job_id).claimed_path
    assert desk.store.get("b").owner == "ann"
    assert files_in("claimed") == ["a.yaml", "b.yaml"]
    folders = [path.name for path in (desk.spool.claimed / "000005").iterdir()]
    assert "takeover-000001" in folders, "takeovers of takeovers lie side by side"


def test_jobs_of_several_epochs(restart, desk, deliver):
    jobs = [f"j{number}" for number in range(3)]
    for job_id in jobs:
        desk.take_in.round([deliver(f"{job_id}.yaml")])
        desk = restart()
    assert [row.job_id for row in desk.store.next_submitted(10)] == jobs
    assert all(claimed_file(desk, job_id).exists() for job_id in jobs)


def test_the_same_name_twice_in_claimed_stays_two_files(restart, queue, desk, deliver):
    queue("j")
    desk = restart()
    # An identical copy that a dying daemon had taken and not recorded.
    path = deliver("j.yaml")
    path.rename(desk.spool.claimed / "000002" / "j.yaml")
    desk, found = outcome_of(restart)
    assert found["lost"] == 0
    assert claimed_file(desk, "j").exists()
    assert len(desk.store.next_submitted(10)) == 1


def test_a_crash_in_the_middle_of_taking_over(restart, queue, desk):
    queue("j")
    path = claimed_file(desk, "j")
    own = desk.spool.claimed / "000002"
    own.mkdir()
    path.parent.rename(own / f"takeover-{path.parent.name}")  # fenced, and the row still tells the old place
    assert not claimed_file(desk, "j").exists()
    desk, found = outcome_of(restart)
    assert found == NOTHING
    assert claimed_file(desk, "j").exists()


def test_a_crash_in_the_middle_of_taking_over_twice(restart, queue, desk):
    queue("j")
    path = claimed_file(desk, "j")
    nested = desk.spool.claimed / "000003" / "takeover-000002"
    nested.mkdir(parents=True)
    path.parent.rename(nested / f"takeover-{path.parent.name}")
    desk, found = outcome_of(restart)
    assert found == NOTHING
    assert claimed_file(desk, "j").exists()


@pytest.mark.fault("the daemon is killed at any moment")
def test_everything_at_once(restart, queue, desk, deliver, files_in):
    queue("waiting", "running", "lost", "final")
    for job_id in ("running", "final"):
        desk.store.begin_attempt(job_id, DEVICE, JobState.COMPILING)
    finish(desk, "final")
    claimed_file(desk, "lost").unlink()
    deliver("new.yaml").rename(next(desk.spool.claimed.iterdir()) / "new.yaml")
    desk, found = outcome_of(restart)
    assert found == {"read": 1, "requeued": 1, "given_up": 0, "lost": 1, "elsewhere": 0}
    while desk.publishing.publish_owed():
        pass
    assert sorted(row.job_id for row in desk.store.next_submitted(10)) == ["new", "running", "waiting"]
    assert sorted(path.stem for path in desk.spool.outbox.glob("*.json")) == ["final", "lost"]
    assert files_in("claimed") == ["new.yaml", "running.yaml", "waiting.yaml"]


def test_reconciling_twice_changes_nothing_more(restart, queue, desk):
    queue("j")
    desk.store.begin_attempt("j", DEVICE, JobState.COMPILING)
    restart()
    desk, found = outcome_of(restart)
    assert found == NOTHING
    assert desk.store.get("j").attempts == 1


def test_a_job_that_another_owner_has_done_gets_its_result(restart, queue, desk):
    """Its file is gone, and its result published: by a daemon with another database."""
    queue("here", "there", "unreadable")
    finish_text = done_text("there")
    for job_id, text in (("there", finish_text), ("unreadable", "{")):
        claimed_file(desk, job_id).unlink()
        (desk.spool.outbox / f"{job_id}.json").write_text(text)
    desk, found = outcome_of(restart)
    assert found == NOTHING | {"elsewhere": 1, "lost": 1}
    row = desk.store.get("there")
    assert (row.state, row.status, row.result_text) == (JobState.COMPLETED, "unsupported", finish_text)
    desk.publishing.publish_owed()
    assert (desk.spool.outbox / "there.json").read_text() == finish_text
    assert desk.store.get("there").published


@pytest.mark.fault("a paused daemon wakes")
def test_what_a_paused_owner_claims_by_a_handle_of_its_folder_is_found(
    restart, queue, desk, deliver, monkeypatch
):
    """As on NFS, where a folder that was moved away keeps its handle."""
    queue("j")
    handle = os.open(desk.lease.epoch_folder, os.O_RDONLY | os.O_DIRECTORY)
    monkeypatch.setattr(strays_module, "LOOK_INTERVAL_S", 0.0)
    desk = restart()
    os.rename(deliver("late.yaml"), "late.yaml", dst_dir_fd=handle)
    os.close(handle)
    assert desk.take_in.round([]).queued == 1
    assert [row.job_id for row in desk.store.next_submitted(10)] == ["j", "late"]
    assert claimed_file(desk, "late").parent.name == "takeover-000001"
    assert desk.take_in.round([]).queued == 0


def test_a_lost_outbox_temporary_folder_is_no_trouble(restart, desk):
    shutil.rmtree(desk.spool.outbox_tmp)
    restart()


@pytest.mark.fault("the database is deleted")
def test_whoever_begins_anew_after_a_deleted_database_has_nothing_judged_twice(
    restart, queue, desk, deliver, settings
):
    queue("done", "open")
    desk.store.begin_attempt("done", DEVICE, JobState.COMPILING)
    finish(desk, "done")
    desk.publishing.publish_owed()
    published = (desk.spool.outbox / "done.json").read_text()
    desk.close()
    for file in (*settings.state.glob("kbd.db*"), made_path(settings.state)):
        file.unlink()
    desk, found = outcome_of(restart)
    assert found == NOTHING | {"read": 1}
    assert (desk.store.get("open").state, desk.store.get("done")) == (JobState.SUBMITTED, None)
    desk.take_in.round([deliver("done.yaml")])
    assert [row.job_id for row in desk.store.next_submitted(10)] == ["open"]
    desk.publishing.publish_owed()
    assert desk.store.get("done").published
    assert (desk.spool.outbox / "done.json").read_text() == published
