import sqlite3
from dataclasses import replace

import pytest

from kbd.store.engine import open_writer
from kbd.store.errors import IllegalTransition, StoreUnavailable, UnknownJob
from kbd.store.job_table import ERROR_MESSAGE_LIMIT_CHARS
from kbd.store.jobs import JobStore
from kbd.store.location import database_path
from kbd.store.new_job import AddOutcome
from kbd.store.restoring import Restoring
from kbd.store.states import FINAL, RUNNING, JobState

DATABASES = ("sqlite", "postgresql")

ADDED, SAME, CONFLICT = AddOutcome.ADDED, AddOutcome.SAME, AddOutcome.CONFLICT


def finish(store, job_id, text="result"):
    return store.finish(job_id, JobState.COMPLETED, text, "passed", speedup=2.0)


def test_a_job_comes_back_as_it_went_in(store, make_job):
    job = make_job("j", owner="ann", priority=3, labels={"step": "412", "größe": "µ"})
    assert store.add([job]) == [ADDED]
    row = store.get("j")
    assert row is not None
    assert (row.job_id, row.state, row.owner, row.priority, row.labels, row.attempts) == (
        ("j", JobState.SUBMITTED, "ann", 3, {"step": "412", "größe": "µ"}, 0)
    )
    assert (row.manifest_text, row.manifest_sha256, row.claimed_path) == (
        (job.manifest_text, job.manifest_sha256, job.claimed_path)
    )
    assert (row.submitted_at, row.finished_at, row.result_text, row.published) == (1.0, None, None, False)


def test_nothing_added_is_nothing(store):
    assert store.add([]) == []
    assert store.next_submitted(5) == []
    assert store.get("j") is None


def test_known_ids_run_once(store, make_job):
    store.add([make_job("old")])
    other = "b" * 64
    outcomes = store.add(
        [
            make_job("old"),
            make_job("old", manifest_sha256=other),
            make_job("new"),
            make_job("new"),
            make_job("new", manifest_sha256=other),
        ]
    )
    assert outcomes == [SAME, CONFLICT, ADDED, SAME, CONFLICT]
    assert [row.job_id for row in store.next_submitted(10)] == ["old", "new"]
    new = store.get("new")
    assert new is not None
    assert new.manifest_sha256 == "a" * 64


def test_many_jobs_at_once_keep_their_order(store, make_job):
    names = [f"j{number}" for number in range(1500)]
    assert set(store.add([make_job(name) for name in names])) == {ADDED}
    assert set(store.add([make_job(name) for name in names])) == {SAME}
    rows = [store.get(name) for name in ("j0", "j700", "j1499")]
    assert [row.sequence for row in rows if row] == [1, 701, 1500]


@pytest.mark.fault("the same job is delivered again")
def test_a_finished_job_that_is_delivered_again_is_published_again(store, make_job):
    store.add([make_job("j")])
    finish(store, "j")
    store.mark_published("j")
    assert store.unpublished() == []
    assert store.add([make_job("j", manifest_sha256="b" * 64)]) == [CONFLICT]
    assert store.unpublished() == []
    assert store.add([make_job("j")]) == [SAME]
    assert [row.result_text for row in store.unpublished()] == ["result"]


def test_what_is_owed_is_counted_and_can_be_read_from_any_place(store, make_job):
    store.add([make_job(name) for name in "abcd"])
    assert store.owed() == 0
    for name in "abc":
        finish(store, name)
    assert store.owed() == 3
    second = store.get("b")
    assert [row.job_id for row in store.unpublished(after=second.sequence)] == ["c"]
    store.mark_published("c")
    assert store.owed() == 2
    assert store.unpublished(after=second.sequence) == []


def test_what_was_restored_before_all_others_is_owed_as_well(store, make_job, engine):
    store.add([make_job("j")])
    finish(store, "j")
    Restoring(engine).add([replace(store.get("j"), job_id="earlier", sequence=-3)])
    assert [row.job_id for row in store.unpublished()] == ["earlier", "j"]
    assert [row.job_id for row in store.unpublished(after=-3)] == ["j"]


def test_a_rejected_job_is_final_and_owed(store, make_rejected):
    assert store.add_rejected(make_rejected("bad", owner="ann", labels={"a": "b"})) is ADDED
    (row,) = store.unpublished()
    assert (row.state, row.status, row.stage, row.blame) == (
        (JobState.REJECTED, "invalid_job", "intake", "job")
    )
    assert (row.result_text, row.error_message, row.manifest_text) == (
        ("rejected", "unknown field /candidat", None)
    )
    store.mark_published("bad")
    assert store.add_rejected(make_rejected("bad", manifest_sha256="c" * 64)) is CONFLICT
    assert store.unpublished() == []
    assert store.add_rejected(make_rejected("bad")) is SAME
    assert [row.job_id for row in store.unpublished()] == ["bad"]


def test_a_job_and_its_attempts(store, make_job, reader):
    store.add([make_job("j")])
    assert store.begin_attempt("j", "cuda:0", JobState.COMPILING) == 1
    store.record_pid("j", 4711)
    assert store.advance("j", JobState.VALIDATING)
    assert store.requeue("j", "device lost")
    assert store.begin_attempt("j", "cuda:1", JobState.VALIDATING) == 2
    assert finish(store, "j")
    first, second = reader.get("j").history
    assert (first.number, first.device, first.pid, first.state, first.outcome) == (
        (1, "cuda:0", 4711, JobState.VALIDATING, "device lost")
    )
    assert (first.started_at, first.finished_at) == (2.0, 3.0)
    assert (second.number, second.device, second.pid, second.outcome) == (2, "cuda:1", None, "passed")
    assert reader.get("j").attempts == 2


def test_running_jobs_are_those_with_a_process(store, make_job):
    store.add([make_job("a"), make_job("b"), make_job("c")])
    store.begin_attempt("b", "cpu", JobState.VALIDATING)
    store.begin_attempt("a", "cpu", JobState.PROFILING)
    assert [row.job_id for row in store.running()] == ["a", "b"]
    store.requeue("a", "shutdown")
    finish(store, "b")
    assert store.running() == []


@pytest.mark.fault("a job is cancelled while it finishes")
def test_the_first_ending_wins(store, make_job):
    store.add([make_job("j")])
    store.begin_attempt("j", "cpu", JobState.VALIDATING)
    assert store.finish("j", JobState.CANCELLED, "cancelled", "cancelled")
    assert not finish(store, "j")
    assert not store.advance("j", JobState.PROFILING)
    assert not store.requeue("j", "late")
    row = store.get("j")
    assert row is not None
    assert (row.state, row.result_text, row.speedup) == (JobState.CANCELLED, "cancelled", None)


def test_an_attempt_begins_only_from_the_queue(store, make_job):
    store.add([make_job("j")])
    for state in sorted(set(JobState) - RUNNING):
        with pytest.raises(IllegalTransition):
            store.begin_attempt("j", "cpu", state)
    store.begin_attempt("j", "cpu", JobState.VALIDATING)
    with pytest.raises(IllegalTransition, match="submitted"):
        store.begin_attempt("j", "cpu", JobState.VALIDATING)
    finish(store, "j")
    with pytest.raises(IllegalTransition):
        store.begin_attempt("j", "cpu", JobState.VALIDATING)
    row = store.get("j")
    assert row is not None
    assert row.attempts == 1


def test_steps_that_are_none(store, make_job):
    store.add([make_job("j")])
    with pytest.raises(IllegalTransition):
        store.advance("j", JobState.VALIDATING)
    with pytest.raises(IllegalTransition, match="no result"):
        store.mark_published("j")
    with pytest.raises(IllegalTransition):
        store.finish("j", JobState.PROFILING, "text", "passed")
    assert store.requeue("j", "nothing to put back")
    store.begin_attempt("j", "cpu", JobState.VALIDATING)
    assert store.advance("j", JobState.VALIDATING)
    with pytest.raises(IllegalTransition, match="cannot become compiling"):
        store.advance("j", JobState.COMPILING)
    for state in sorted(FINAL | {JobState.SUBMITTED}):
        with pytest.raises(IllegalTransition):
            store.advance("j", state)


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.begin_attempt("no", "cpu", JobState.VALIDATING),
        lambda store: store.record_pid("no", 1),
        lambda store: store.advance("no", JobState.VALIDATING),
        lambda store: store.requeue("no", "reason"),
        lambda store: store.relocate("no", "/elsewhere"),
        lambda store: finish(store, "no"),
        lambda store: store.mark_published("no"),
    ],
)
def test_unknown_jobs_are_said_to_be_unknown(store, change):
    with pytest.raises(UnknownJob, match="'no'"):
        change(store)


def test_a_taken_over_file_is_found_again(store, make_job):
    store.add([make_job("j")])
    store.relocate("j", "/spool/claimed/000002/takeover-000001/j.yaml")
    row = store.get("j")
    assert row is not None
    assert row.claimed_path == "/spool/claimed/000002/takeover-000001/j.yaml"


def test_owed_results_come_oldest_first_and_in_portions(store, make_job):
    store.add([make_job(name) for name in "abcd"])
    for name in "dcba":
        finish(store, name)
    assert [row.job_id for row in store.unpublished(limit=3)] == ["a", "b", "c"]
    store.mark_published("b")
    assert [row.job_id for row in store.unpublished(limit=3)] == ["a", "c", "d"]


def test_long_and_odd_messages_fit_a_list(store, make_job):
    store.add([make_job("j")])
    store.finish("j", JobState.FAILED, "text", "harness_error", error_message="\udcff" + "x" * 10_000)
    row = store.get("j")
    assert row is not None
    assert row.error_message is not None
    assert len(row.error_message) == ERROR_MESSAGE_LIMIT_CHARS
    assert row.error_message.startswith("?x")


def test_a_failing_transaction_changes_nothing(store, make_job):
    store.add([make_job("a")])
    with pytest.raises(UnicodeEncodeError):
        store.add([make_job("b"), make_job("c", manifest_text="\udcff")])
    assert [row.job_id for row in store.next_submitted(5)] == ["a"]
    assert store.add([make_job("b")]) == [ADDED]


@pytest.mark.fault("the database is locked")
def test_a_locked_database_is_unavailable_and_unchanged(state_dir, make_job, monkeypatch):
    monkeypatch.setattr("kbd.store.engine.BUSY_TIMEOUT_S", 0.0)
    engine = open_writer(state_dir)
    store = JobStore(engine)
    other = sqlite3.connect(database_path(state_dir), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.add([make_job("j")])
    other.execute("ROLLBACK")
    other.close()
    assert store.add([make_job("j")]) == [ADDED]
    engine.dispose()


def test_what_was_told_survives_a_restart(state_dir, make_job):
    first = open_writer(state_dir)
    store = JobStore(first)
    store.add([make_job("j")])
    store.begin_attempt("j", "cpu", JobState.VALIDATING)
    first.dispose()
    second = open_writer(state_dir)
    assert [(row.job_id, row.attempts) for row in JobStore(second).running()] == [("j", 1)]
    second.dispose()


def test_queued_jobs_are_counted(store, make_job):
    assert store.queued() == 0
    store.add([make_job("a"), make_job("b"), make_job("c")])
    store.begin_attempt("a", "cpu", JobState.VALIDATING)
    assert store.queued() == 2
    store.requeue("a", "fault")
    store.finish("b", JobState.CANCELLED, "{}", "cancelled")
    assert store.queued() == 2


def test_every_attempt_is_told(store, make_job):
    store.add([make_job("a")])
    assert store.attempts("a") == []
    store.begin_attempt("a", "cpu0", JobState.VALIDATING)
    store.requeue("a", "judge died")
    store.begin_attempt("a", "cpu1", JobState.VALIDATING)
    found = [(row.number, row.device, row.outcome) for row in store.attempts("a")]
    assert found == [(1, "cpu0", "judge died"), (2, "cpu1", None)]
    with pytest.raises(UnknownJob):
        store.attempts("nobody")


def test_where_the_file_of_a_published_job_lies(store, make_job):
    store.add([make_job("a"), make_job("b", claimed_path="claimed/000001/b.yaml")])
    for job_id in ("a", "b"):
        store.finish(job_id, JobState.COMPLETED, "{}", "passed")
    store.mark_published("a", "done/20250101/a.yaml")
    store.mark_published("b")
    assert store.get("a").claimed_path == "done/20250101/a.yaml"
    assert store.get("b").claimed_path == "claimed/000001/b.yaml"
    assert store.get("a").published


def test_a_final_job_adopts_a_result_that_was_published_before(store, reader, make_job):
    store.add([make_job("j"), make_job("open")])
    store.finish("j", JobState.COMPLETED, "ours", "passed", speedup=2.0)
    store.adopt("j", JobState.FAILED, "theirs", "harness_error", blame="harness", error_message="lost")
    row = store.get("j")
    assert (row.state, row.status, row.blame, row.speedup) == (
        JobState.FAILED,
        "harness_error",
        "harness",
        None,
    )
    assert (row.result_text, row.error_message, row.published) == ("theirs", "lost", False)
    assert reader.status_counts() == {"harness_error": 1}
    assert (reader.counts()[JobState.FAILED], reader.counts()[JobState.COMPLETED]) == (1, 0)
    with pytest.raises(IllegalTransition, match="cannot adopt"):
        store.adopt("open", JobState.FAILED, "theirs", "harness_error")
