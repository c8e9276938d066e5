"""`kbd stats`: counts, rate and quantiles of a small history."""

import json
import re
import time
from dataclasses import replace

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.stats_page import print_stats
from kbd.daemon.cli.stats_report import Quantiles, take_stats
from kbd.daemon.cli.terminal import results
from kbd.outbox.circumstances import StageTimings
from kbd.outbox.verdict import EvaluationStatus
from kbd.store.jobs import JobStore
from kbd.store.new_job import NewJob
from kbd.store.states import JobState

HOUR_S = 3_600.0
START = 1_750_000_000.0 // HOUR_S * HOUR_S


class Clock:
    """Says what it was set to."""

    now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def job(store, clock):
    """Bring a job to an end, `minutes` after the start, 30 seconds after it came."""
    timed = JobStore(store._engine, clock=clock)

    def end(result, minutes, *, kernel_type="triton", owner="", device="cuda:0"):
        clock.now = START + 60 * minutes
        manifest = json.dumps({"candidate": {"kernel_type": kernel_type}})
        new = NewJob(
            job_id=result.job_id,
            manifest_sha256="a" * 64,
            manifest_text=manifest,
            claimed_path=result.job_id,
            owner=owner,
        )
        timed.add([new])
        timed.begin_attempt(result.job_id, device, JobState.VALIDATING)
        clock.now += 30
        timed.finish(
            result.job_id,
            JobState(result.state),
            result.to_json(),
            result.status.value,
            blame=result.blame.value if result.blame else None,
        )

    return end


@pytest.fixture
def history(job, has_queued, make_result, make_failure, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for number in range(6):
        timings = StageTimings(queued=number, load=0.1, correctness=0.2, timing=0.5, total=float(number + 1))
        job(make_result(f"good{number}", timings_s=timings), 20 * number)
    crash = make_failure(EvaluationStatus.CRASHED, "crash", timings_s=StageTimings(queued=100.0))
    job(crash, 190, kernel_type="cuda", owner="ali\x1b[2Jce", device="H100\x1b]0;x\x07")
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_page(kbd, history, same_as_golden):
    ended = kbd("stats")
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    same_as_golden(ended.out, "stats.txt")


def test_on_a_terminal_titles_begin_at_the_margin(kbd, history, monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", kbd("stats").out).splitlines()
    assert max(map(len, lines)) <= 80
    assert {line for line in lines if line.strip() and not line.startswith("  ")} == {
        "7 jobs, 7 ended: 2.2 an hour over 3.2 h (first arrival to latest end)",
        *(
            "by verdict",
            "by blame",
            "by kernel type",
            "by device",
            "by owner",
            "ended by hour",
            "time by stage",
        ),
    }


def test_jobs_of_nobody_that_all_passed_fill_no_sections(kbd, job, make_result):
    job(make_result("good"), 0)
    out = kbd("stats").out
    assert "by verdict" in out
    assert "by owner" not in out
    assert "by blame" not in out


@pytest.mark.parametrize(
    ("span_s", "said"),
    [
        (2.9, "7 ended in 2.9 s (first arrival to latest end)"),
        (1_200.0, "7 ended: 21 an hour over 20 min (first"),
        (604_800.0, "7 ended: 1.0 a day over 7.0 d (first"),
    ],
)
def test_a_rate_is_told_of_a_minute_and_more(place, history, capsys, span_s, said):
    report = replace(take_stats(place, since=None, limit=0), span_s=span_s)
    print_stats(report, results())
    assert said in capsys.readouterr().out


def test_json(kbd, history, same_as_golden):
    said = kbd("stats", "--json").out
    document = json.loads(said)
    assert document["jobs"] == sum(document["counts"]["status"].values()) == 7
    assert document["counts"]["kernel_type"] == {"triton": 6, "cuda": 1}
    assert document["jobs_per_hour"] == pytest.approx(7 * HOUR_S / (190 * 60 + 30))
    assert [hour["ended"] for hour in document["by_hour"]] == [3, 3, 0, 1], "an hour without any is there"
    assert document["times_s"]["queued"]["max"] == 100.0
    assert "compile" not in document["times_s"], "no job came there"
    same_as_golden(said, "stats.json")


def test_only_the_latest_are_read(kbd, history):
    document = json.loads(kbd("stats", "--json", "-n", "1").out)
    assert (document["jobs"], document["examined"]) == (7, 1)
    assert document["counts"]["kernel_type"] == {"cuda": 1}
    assert "time by stage, the latest 1 job\n" in kbd("stats", "-n", "1").out
    assert "time by stage" not in kbd("stats", "-n", "0").out


def test_since(kbd, history, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: START + 190 * 60)
    assert json.loads(kbd("stats", "--since", "1h", "--json").out)["counts"]["status"] == {"crashed": 1}
    assert kbd("stats", "--since", "1s").out.startswith("1 job, 1 ended")


def test_jobs_that_have_not_ended(kbd, has_queued):
    has_queued("waiting")
    document = json.loads(kbd("stats", "--json").out)
    assert (document["jobs"], document["ended"], document["jobs_per_hour"]) == (1, 0, None)
    assert kbd("stats").out.startswith("1 job, 0 ended\n")


def test_no_jobs(kbd, store):
    assert kbd("stats").out == "No jobs yet.\n"
    assert kbd("stats", "--since", "1h").out == "No jobs in this time.\n"
    assert json.loads(kbd("stats", "--json").out)["times_s"] == {}


def test_no_database(kbd, spool):
    ended = kbd("stats")
    assert ended.code == ExitCode.NOT_FOUND
    assert "kbd run" in ended.err


def test_conditions_that_cannot_be_meant(kbd, store):
    assert kbd("stats", "--since", "yesterday").code == ExitCode.USAGE
    assert kbd("stats", "-n", "-1").code == ExitCode.USAGE


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0], list(map(float, range(101)))])
def test_quantiles_are_ordered_and_within(values):
    found = Quantiles.of(values)
    assert min(values) <= found.p50 <= found.p90 <= found.p99 <= found.max == max(values)


def test_quantiles_of_a_hundred_and_one():
    assert Quantiles.of([float(value) for value in range(101)]) == Quantiles(101, 50.0, 90.0, 99.0, 100.0)
