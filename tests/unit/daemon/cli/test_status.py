"""`kbd status`: empty, busy, idle, from another host."""

import json

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.job_table import job_line
from kbd.daemon.cli.place import Place
from kbd.daemon.cli.status_page import print_status
from kbd.daemon.cli.status_report import take_status
from kbd.inbox.spool import Spool
from kbd.outbox.verdict import EvaluationStatus
from kbd.store.states import JobState


@pytest.fixture
def busy(place, store, has_remembered, has_queued, make_result, make_failure):
    """A passed job, a crashed one, one that runs and one that waits."""
    has_remembered(make_result("good"))
    has_remembered(make_failure(EvaluationStatus.CRASHED, "bad", "killed\nby SIGSEGV"))
    has_queued("working")
    store.begin_attempt("working", "cpu0", JobState.PROFILING)
    has_queued("queued")
    (place.spool_root / "inbox" / "new.yaml").write_text("")


def test_an_empty_spool_says_what_to_do(kbd, place):
    out = kbd("status").out
    assert "not running" in out
    assert "No jobs yet" in out
    assert f"kbd submit --spool {place.spool_root} FILE" in out
    assert f"kbd run --spool {place.spool_root}" in out


def test_commands_can_be_typed_as_they_are_told(capsys, place):
    odd = Place(Spool.create(place.spool_root.with_name("my spool")).root, place.state, spool_named=True)
    print_status(take_status(odd, (), limit=1), named=False)
    out = capsys.readouterr().out
    assert f"kbd submit --spool '{odd.spool_root}' FILE" in out
    assert f"kbd run --spool '{odd.spool_root}'" in out


def test_counts_and_jobs(kbd, busy):
    out = kbd("status").out
    assert "1 in the inbox · 1 queued · 1 running · 2 completed" in out
    assert "3 jobs wait for a daemon" in out
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert "2.31x" in rows["good"]
    assert rows["bad"].endswith("candidate, correctness: killed by SIGSEGV")
    assert "on cpu0" in rows["working"]
    assert list(rows).index("queued") < list(rows).index("good"), "the latest first"


def test_a_cancelled_job_is_nobodys_fault(place, store, has_queued):
    has_queued("c")
    store.finish("c", JobState.CANCELLED, "{}", "cancelled", error_message="by ann@box, before it began")
    (job,) = take_status(place, ["c"], limit=1).jobs
    line = job_line(job, 0.0)
    assert line.note == line.brief == "by ann@box, before it began"


def test_a_running_daemon(kbd, spool, busy, daemon_runs):
    device = {"name": "GPU\x1b[2J", "problem": None}
    broken = {"name": "other", "problem": "fell off\nthe bus"}
    spool.status_file.write_text(json.dumps({"devices": [device, broken], "paused": "disk full"}))
    with daemon_runs(pid=77):
        out = kbd("status").out
    assert "running (pid 77, host here) on GPU\\x1b[2J, other" in out
    assert "out     other: fell off the bus" in out
    assert "paused  disk full" in out
    assert "kbd run" not in out


def test_a_standby_says_whom_it_waits_for(kbd, place, daemon_runs):
    with daemon_runs(pid=77, role="standby", owner="the daemon with process id 5 on far\x1b[2J"):
        out = kbd("status").out
        assert take_status(place, (), limit=5).as_document()["daemon"]["standby"] == 77
    assert (
        "standby pid 77 of this host takes over when the daemon with process id 5 on far\\x1b[2J ends" in out
    )


def test_named_jobs_in_their_order(kbd, busy):
    ended = kbd("status", "good", "new", "bad")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["JOB", "good", "bad", "new:"]
    assert "daemon" not in ended.out


def test_an_unknown_job(kbd, busy):
    assert kbd("status", "good", "nope").code == ExitCode.NOT_FOUND


def test_the_limit(kbd, busy):
    assert len(json.loads(kbd("status", "--json", "-n", "2").out)["jobs"]) == 2


def test_json(kbd, place, busy):
    document = json.loads(kbd("status", "--json").out)
    assert document["spool"] == str(place.spool_root)
    assert document["daemon"]["running"] is False
    assert document["inbox"] == 1
    assert document["counts"] == {state.value: 0 for state in JobState} | {
        "submitted": 1,
        "profiling": 1,
        "completed": 2,
    }
    assert document["history"] is True
    assert {job["job_id"]: job["status"] for job in document["jobs"]} == {
        "good": "passed",
        "bad": "crashed",
        "working": None,
        "queued": None,
    }


def test_from_a_host_without_the_database(kbd, place, spool):
    daemon = {"pid": 1, "host": "elsewhere", "updated_at": "2025-01-01T00:00:00Z"}
    spool.status_file.write_text(json.dumps({"daemon": daemon, "queue": {"submitted": 3, "completed": 4}}))
    ended = kbd("status")
    assert "last heard of on host elsewhere" in ended.out
    assert "3 queued · 4 completed" in ended.out
    assert "not on this host" in ended.out
    assert take_status(place, (), limit=5).as_document()["daemon"]["running"] is None


def test_a_daemon_that_is_stopping(kbd, spool, store, daemon_runs):
    told = {"daemon": {"pid": 4242, "host": "here"}, "running": [{"id": "slow"}], "queue": {"submitted": 3}}
    spool.status_file.write_text(json.dumps(told | {"ending": {"left_s": 27.2, "over": False}}))
    with daemon_runs():
        out = kbd("status").out
        assert "daemon  stopping (pid 4242, host here)" in out
        assert "waits   for slow to end, 27 s at most" in out
        assert json.loads(kbd("status", "--json").out)["daemon"]["ending"] == {"left_s": 27.2, "over": False}
    with daemon_runs(pid=4243):  # the next one has not written its own snapshot yet
        out = kbd("status").out
        assert "running (pid 4243" in out
        assert "waits" not in out


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ({"left_s": 27.2, "over": False}, "is stopping on host elsewhere, as it said at noon by its clock"),
        ({"left_s": None, "over": True}, "has ended on host elsewhere, as it said at noon by its clock"),
        (None, "last heard of on host elsewhere at noon by its clock; look again to be sure"),
    ],
)
def test_a_daemon_of_another_host_that_is_stopping(kbd, spool, ending, said):
    daemon = {"pid": 4242, "host": "elsewhere", "updated_at": "noon"}
    told = {"daemon": daemon, "running": [{"id": "slow"}], "ending": ending}
    spool.status_file.write_text(json.dumps(told))
    out = kbd("status").out
    assert said in out
    assert ("waits   for slow to end" in out) == ("is stopping" in said)


@pytest.mark.fault("the database is damaged")
def test_a_damaged_database_is_an_error_and_no_empty_list(kbd, place):
    (place.state / "kbd.db").write_bytes(b"not a database" * 100)
    ended = kbd("status")
    assert (ended.code, ended.out) == (ExitCode.UNUSABLE, "")


def test_no_spool_at_all(kbd, tmp_path):
    ended = kbd("status", "--spool", tmp_path / "nowhere")
    assert ended.code == ExitCode.NOT_FOUND
    assert "kbd init" in ended.err


@pytest.mark.parametrize("named", [[], ["good"]])
def test_no_job_is_as_was_asked_for(kbd, busy, named):
    ended = kbd("status", *named, "--status", "timeout")
    assert ended.code == 0
    assert "No job is as was asked for.\n" in ended.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--job-state", "submitted"], ["queued"]),
        (["--job-state", "profiling"], ["working"]),
        (["--status", "crashed"], ["bad"]),
        (["--since", "99999d", "--status", "passed"], ["good"]),
        (["--owner", "nobody"], []),
        (["--since", "1h"], []),
        (["--label", "run=7"], []),
        (["good", "bad", "--status", "passed"], ["good"]),
    ],
)
def test_filters(kbd, busy, arguments, expected):
    ended = kbd("status", "--format", "jsonl", *arguments)
    assert (ended.code, ended.err) == (0, "")
    assert [json.loads(line)["job_id"] for line in ended.out.splitlines()] == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "such as 30m or 2h"),
        (["--label", "run"], "expected KEY=VALUE"),
        (["--status", "good"], "expected one of"),
        (["--job-state", "lost"], "submitted"),
        (["--json", "--format", "tsv"], "exclude each other"),
        (["--watch"], "--watch needs a terminal"),
    ],
)
def test_conditions_that_cannot_be_meant(kbd, busy, arguments, said):
    ended = kbd("status", *arguments)
    assert ended.code == ExitCode.USAGE
    assert said in " ".join(ended.err.replace("│", " ").split())


def test_tab_separated_values_keep_one_job_on_one_line(kbd, busy):
    heading, *lines = kbd("status", "--format", "tsv").out.splitlines()
    rows = {
        line.split("\t")[0]: dict(zip(heading.split("\t"), line.split("\t"), strict=True)) for line in lines
    }
    assert list(rows) == ["queued", "working", "bad", "good"]
    assert rows["bad"]["error_message"] == "killed\\nby SIGSEGV"
    assert (rows["queued"]["status"], rows["good"]["speedup"]) == ("", "2.31")
