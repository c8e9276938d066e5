"""From the inbox into the database: each delivery is queued, refused with a reason, or known already."""

import hashlib
import json
from textwrap import dedent

import pytest
from structlog.testing import capture_logs

from kbd.daemon import take_in as take_in_module
from kbd.daemon.assembly import JobIdentity, refused
from kbd.inbox.claim import Taken
from kbd.inbox.scanner import Delivery
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.errors import StoreUnavailable
from kbd.store.states import JobState

JOB = "version: 1\ncandidate: {kernel_type: torch, source_code: 'def f(x): return x'}\n"
NOT_A_JOB = "version: 1\ncandidate: [\n"


@pytest.fixture
def take(desk, deliver):
    """Deliver files by name and text, take them in, and tell what that brought."""

    def run(owner=None, **texts):
        hints = [
            deliver(f"{name}.yaml", text, owner=owner)
            if isinstance(text, str)
            else deliver(f"{name}.yaml", owner=owner)
            for name, text in texts.items()
        ]
        return desk.take_in.round(hints)

    return run


def published_result(desk, job_id):
    return json.loads(desk.store.get(job_id).result_text)


def test_an_empty_inbox_brings_nothing(desk):
    taken = desk.take_in.round([])
    assert not taken.any
    assert (taken.queued, taken.refused) == (0, 0)


def test_a_job_is_queued_with_everything_it_says(desk, deliver, files_in):
    text = dedent("""
        version: 1
        candidate: {kernel_type: torch, source_code: "def f(x): return x"}
        priority: 7
        labels: {team: a}
    """)
    taken = desk.take_in.round([deliver("j.yaml", text, owner="ann")])
    assert taken.queued == 1
    row = desk.store.get("j")
    assert (row.state, row.owner, row.priority, row.labels) == (JobState.SUBMITTED, "ann", 7, {"team": "a"})
    assert json.loads(row.manifest_text)["candidate"]["source_code"] == "def f(x): return x"
    assert (desk.spool.root / row.claimed_path).read_text() == text
    assert files_in("inbox") == []


@pytest.mark.fault("thousands of jobs at once")
def test_many_at_once_in_bounded_batches(desk, deliver, monkeypatch):
    monkeypatch.setattr(take_in_module, "BATCH", 4)
    hints = [deliver(f"j{number}.yaml") for number in range(10)]
    assert [desk.take_in.round(hints).queued, *(desk.take_in.round([]).queued for _ in range(3))] == [
        4,
        4,
        2,
        0,
    ]


@pytest.mark.fault("a manifest is huge")
def test_jobs_that_take_long_to_read_leave_the_thread_to_others_between_them(desk, deliver, monkeypatch):
    monkeypatch.setattr(take_in_module, "ROUND_S", 0.0)
    first = desk.take_in.round([deliver(f"j{number}.yaml") for number in range(3)])
    assert (first.queued, first.waiting) == (1, 2)
    later = deliver("later.yaml")
    assert desk.take_in.take_named("j2")
    assert [desk.store.get(f"j{number}") is not None for number in range(3)] == [True, False, True]
    second = desk.take_in.round([later])
    assert (second.queued, second.waiting) == (1, 0)
    assert later.exists(), "nothing more is claimed before all is read"
    assert desk.take_in.round([]).queued == 1
    assert desk.store.queued() == 4


def test_what_is_no_job_gets_a_result_and_a_reason(take, desk, files_in):
    assert take(bad=NOT_A_JOB, good=None).refused == 1
    row = desk.store.get("bad")
    assert (row.state, row.status, row.stage, row.blame) == (
        JobState.REJECTED,
        "invalid_job",
        "intake",
        "job",
    )
    result = published_result(desk, "bad")
    assert (result["state"], result["status"], result["manifest_sha256"]) == ("rejected", "invalid_job", None)
    assert "kbd quarantine ls" in result["error"]["hint"]
    assert files_in("quarantine") == ["bad.yaml", "bad.yaml.reason.json"]
    assert desk.store.get("good").state is JobState.SUBMITTED


@pytest.mark.fault("a name is no name of a job")
def test_a_name_that_is_no_id_has_a_reason_and_no_result(desk, deliver, files_in):
    hint = deliver("no job at all.txt")
    assert desk.take_in.round([hint]).refused == 1
    assert desk.store.unpublished() == []
    assert len(files_in("quarantine")) == 2


@pytest.mark.fault("the same job is delivered again")
def test_the_same_job_again_runs_once_and_is_filed_away(take, desk, files_in):
    take(j=None)
    first = desk.store.get("j").claimed_path
    assert take(j=None).queued == 1
    assert desk.store.get("j").claimed_path == first
    assert files_in("claimed") == files_in("done") == ["j.yaml"]
    assert len(desk.store.next_submitted(10)) == 1


@pytest.mark.fault("another job has the same id")
def test_another_job_under_a_known_id_is_kept_apart(take, desk, files_in):
    take(j=None)
    known = desk.store.get("j")
    assert take(j="version: 1\ncandidate: {kernel_type: torch, source_code: other}\n").refused == 1
    assert desk.store.get("j") == known
    assert files_in("quarantine") == ["j.yaml", "j.yaml.reason.json"]
    reason = json.loads((desk.spool.quarantine / "j.yaml.reason.json").read_text())
    assert reason["code"] == "id_conflict"


def result_of_another_owner(desk, job_id, manifest):
    """The outbox has it, this database does not."""
    error = ErrorReport(type="Unsupported", message="not here")
    identity = JobIdentity(job_id, hashlib.sha256(manifest.encode()).hexdigest(), 1, {})
    result = refused(identity, EvaluationStatus.UNSUPPORTED, Blame.JOB, Stage.LOAD, error)
    (desk.spool.outbox / f"{job_id}.json").write_text(result.to_json())
    return result.to_json()


@pytest.mark.fault("the same job is delivered again")
def test_the_same_job_again_after_another_owner_had_done_it_is_not_judged(desk, deliver, files_in):
    published = result_of_another_owner(desk, "j", JOB)
    assert desk.take_in.round([deliver("j.yaml", JOB)]).queued == 1
    assert desk.store.next_submitted(10) == []
    row = desk.store.get("j")
    assert (row.state, row.status, row.result_text) == (JobState.COMPLETED, "unsupported", published)
    assert desk.publishing.publish_owed() == 1
    assert (files_in("claimed"), files_in("done")) == ([], ["j.yaml"])
    assert (desk.spool.outbox / "j.json").read_text() == published


@pytest.mark.fault("another job has the same id")
@pytest.mark.parametrize(("text", "code"), [(JOB, "id_conflict"), (NOT_A_JOB, "invalid_job")])
def test_another_job_under_an_id_that_another_owner_has_published(desk, deliver, files_in, text, code):
    published = result_of_another_owner(desk, "j", "something else")
    assert desk.take_in.round([deliver("j.yaml", text)]).refused == 1
    assert desk.store.get("j") is None
    assert files_in("quarantine") == ["j.yaml", "j.yaml.reason.json"]
    assert json.loads((desk.spool.quarantine / "j.yaml.reason.json").read_text())["code"] == code
    assert (desk.spool.outbox / "j.json").read_text() == published


def test_what_is_no_result_in_the_outbox_keeps_no_job_from_being_judged(desk, deliver):
    (desk.spool.outbox / "j.json").write_text("{")
    assert desk.take_in.round([deliver("j.yaml", JOB)]).queued == 1
    assert desk.store.get("j").state is JobState.SUBMITTED


def test_rubbish_under_a_known_id_does_not_touch_its_job(take, desk, files_in):
    take(j=None)
    known = desk.store.get("j")
    assert take(j=NOT_A_JOB).refused == 1
    assert desk.store.get("j") == known
    assert "j.yaml.reason.json" in files_in("quarantine")


def test_two_files_with_one_id_in_one_batch(desk, deliver):
    from_name, from_text = deliver("j.yaml"), deliver("other.yaml", "id: j\n" + _different())
    taken = desk.take_in.round([from_name, from_text])
    assert (taken.queued, taken.refused) == (1, 1)
    assert len(desk.store.next_submitted(10)) == 1


def _different():
    return "version: 1\ncandidate: {kernel_type: torch, source_code: other}\n"


def test_a_delivery_withdrawn_in_time_is_nothing(desk, deliver):
    hint = deliver("j.yaml")
    hint.unlink()
    assert not desk.take_in.round([hint]).any
    assert desk.store.get("j") is None


@pytest.mark.fault("a job is deleted from claimed/")
def test_a_file_deleted_after_it_was_taken_gets_a_result(desk, deliver):
    path = deliver("j.yaml")
    delivery = Delivery(path, "j.yaml", None, complete=True)
    taken = desk.take_in._intake.take(delivery)
    taken.path.unlink()
    desk.take_in.admit([taken])
    row = desk.store.get("j")
    assert (row.status, row.blame) == ("harness_error", "harness")
    assert "deleted from claimed/" in row.error_message


def test_what_was_taken_before_a_restart_is_its_own_file(take, desk):
    take(j=None)
    row = desk.store.get("j")
    (admitted,) = desk.take_in.admit([Taken(desk.spool.root / row.claimed_path, None)])
    assert admitted.path.exists(), "the file of a waiting job is not filed away"
    assert desk.store.get("j").claimed_path == row.claimed_path


def test_a_database_that_refuses_is_told_and_nothing_is_lost_for_the_next_start(
    desk, deliver, files_in, monkeypatch, restart
):
    def refuse(_jobs):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(desk.store, "add", refuse)
    with pytest.raises(StoreUnavailable):
        desk.take_in.round([deliver("j.yaml")])
    assert files_in("claimed") == ["j.yaml"]
    monkeypatch.undo()
    assert restart().store.get("j").state is JobState.SUBMITTED


def test_the_log_says_what_happened_to_each(take):
    with capture_logs() as logs:
        take(good=None, bad=NOT_A_JOB)
    assert sorted((record["action"], record["job"], record.get("outcome", "")) for record in logs) == [
        ("claimed", "good", "added"),
        ("published", "bad", ""),
        ("rejected", "bad", "added"),
    ]
