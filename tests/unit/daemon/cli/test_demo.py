"""The demonstration's jobs, progress and closing words; the real thing is in tests/acceptance."""

import io
from configparser import ConfigParser
from importlib.resources import files
from pathlib import Path

import pytest
from rich.console import Console

from kbd.daemon.cli.demo_jobs import DEMO_JOBS
from kbd.daemon.cli.demo_page import demo_table, reasons, show_progress
from kbd.daemon.cli.demo_run import DemoStanding, deliver_demo_jobs, take_standings, watch_demo_jobs
from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.page_line import print_line
from kbd.inbox.job_file import read_job
from kbd.outbox.verdict import EvaluationStatus
from kbd.store.states import JobState


class Daemon:
    """One that has ended, or has not."""

    def __init__(self, exit_status=None):
        self.exit_status = exit_status

    def last_words(self):
        return "last words"


@pytest.mark.parametrize("job", DEMO_JOBS, ids=lambda job: job.name)
def test_a_demo_job_is_a_valid_job_for_any_device(job, tmp_path):
    path = tmp_path / job.file_name
    path.write_bytes(job.source())
    read = read_job(path)
    assert read.job_id == job.name
    assert read.manifest.candidate.kernel_type == "torch"
    assert read.manifest.device.kind == "auto"


def test_no_job_lies_there_unused():
    names = {entry.name for entry in files("kbd.daemon.cli").joinpath("demo").iterdir()}
    assert names == {job.file_name for job in DEMO_JOBS}


def test_the_jobs_travel_with_the_package():
    setup = ConfigParser()
    setup.read(Path(__file__).parents[4] / "setup.cfg")
    assert "demo/*.yaml" in setup["options.package_data"]["kbd.daemon.cli"]


def test_both_kinds_of_verdict_are_shown():
    assert {job.expected for job in DEMO_JOBS} == {
        EvaluationStatus.PASSED,
        EvaluationStatus.INCORRECT_OUTPUT,
        EvaluationStatus.CRASHED,
        EvaluationStatus.TIMEOUT,
    }


def test_delivering_and_looking(place, spool, has_queued, has_published, make_result):
    deliver_demo_jobs(place)
    assert len(list(spool.inbox.iterdir())) == len(DEMO_JOBS)
    has_queued("faster")
    has_published(make_result("slower"))
    standings = {standing.job.name: standing for standing in take_standings(place)}
    assert standings["wrong"].state is None
    assert standings["faster"].state is JobState.SUBMITTED
    assert standings["slower"].as_expected
    assert not standings["faster"].as_expected


def test_watching_ends_with_the_last_result(place, has_published, make_result):
    for job in DEMO_JOBS:
        has_published(make_result(job.name))
    (standings,) = watch_demo_jobs(place, Daemon())
    assert [standing.as_expected for standing in standings] == [True, True, False, False, False]


def test_a_daemon_that_dies_is_quoted(place):
    rounds = watch_demo_jobs(place, Daemon(exit_status=1))
    next(rounds)
    with pytest.raises(CommandFailed, match="last words") as failed:
        next(rounds)
    assert failed.value.code is ExitCode.NO_DAEMON


def rounds_of(*states):
    job = DEMO_JOBS[0]
    return [(DemoStanding(job, state, result),) for state, result in states]


def test_progress_in_lines_tells_each_step_once(make_result):
    rounds = rounds_of(
        (None, None),
        (None, None),
        (JobState.VALIDATING, None),
        (JobState.COMPLETED, None),
        (JobState.COMPLETED, make_result("faster")),
    )
    output = io.StringIO()
    last = show_progress(rounds, Console(file=output, width=100))
    steps = [line.split("faster", 1)[1].strip() for line in output.getvalue().splitlines()[:3]]
    assert steps == ["in the inbox", "validating", "passed"]
    assert "2.31x" in output.getvalue()
    assert last is rounds[-1]


def test_a_busy_host_is_suspected_where_the_fast_job_was_slow(make_result):
    slow = make_result("faster").model_copy(update={"speedup": 0.73})
    (line,) = reasons((DemoStanding(DEMO_JOBS[0], JobState.COMPLETED, slow),))
    assert (line.lead.plain.strip(), line.said.plain.split(":")[0]) == ("faster", "slower this time")


def test_progress_on_a_terminal_ends_with_the_verdicts(make_result):
    output = io.StringIO()
    rounds = rounds_of((None, None), (JobState.COMPLETED, make_result("faster")))
    show_progress(rounds, Console(file=output, width=80, force_terminal=True, color_system=None))
    assert "✓ passed" in output.getvalue()


def all_done(make_result, make_failure):
    verdicts = {
        "wrong": (
            EvaluationStatus.RUNTIME_ERROR,
            "output0: 524288 of 524288 elements (100.00%) are outside the tolerance",
        ),
        "crash": (
            EvaluationStatus.CRASHED,
            "the candidate's process ended before it answered: killed by SIGSEGV",
        ),
        "hang": (EvaluationStatus.TIMEOUT, "the candidate gave no answer within 2.9 s"),
    }
    for job in DEMO_JOBS:
        failed = verdicts.get(job.name)
        result = make_failure(failed[0], job.name, failed[1]) if failed else make_result(job.name)
        yield DemoStanding(job, JobState.COMPLETED, result)


@pytest.mark.parametrize("columns", [80, 120])
def test_as_it_looks_on_a_terminal(make_result, make_failure, same_as_golden, columns):
    output = io.StringIO()
    console = Console(
        file=output, width=columns, force_terminal=True, color_system="standard", highlight=False
    )
    console.print(demo_table(standings := tuple(all_done(make_result, make_failure))))
    for line in reasons(standings):
        print_line(line, console)
    lines = output.getvalue().replace("\x1b", "␛").splitlines()
    same_as_golden("".join(f"{line.rstrip()}\n" for line in lines), f"demo_{columns}.txt")


def test_the_folder_must_be_its_own(kbd, place):
    ended = kbd("demo", "--spool", place.spool_root)
    assert ended.code == ExitCode.USAGE
    assert "is not empty" in ended.err


def test_reasons_are_given_for_what_did_not_pass(make_result, make_failure):
    failed = make_failure(EvaluationStatus.CRASHED, "crash", "killed\x1b[2J")
    standings = (
        DemoStanding(DEMO_JOBS[0], JobState.COMPLETED, make_result("faster")),
        DemoStanding(DEMO_JOBS[3], JobState.COMPLETED, failed),
        DemoStanding(DEMO_JOBS[4], None, None),
    )
    assert [(line.lead.plain.strip(), line.said.plain) for line in reasons(standings)] == [
        ("crash", "killed\\x1b[2J")
    ]
