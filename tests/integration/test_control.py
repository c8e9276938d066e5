"""What people ask of a running daemon: cancel, retry, pause, resume, drain; and whom it serves in what order."""

import contextlib
import json
import signal
import subprocess

import psutil
import pytest

from tests.site_of_daemon import GOOD, LIMIT_S, QUICK, SLEEPS_IN, Site, until


@pytest.fixture
def site(daemon):
    return Site(daemon)


@pytest.fixture
def open_site(standing):
    """One with a daemon that stays, for tests that only look at jobs of their own."""
    site = Site(standing)
    site.process = standing.process
    return site


together = pytest.mark.xdist_group("standing")


@together
@pytest.mark.parametrize("stage", SLEEPS_IN)
def test_cancel_a_job_that_runs(open_site, tmp_path, stage):
    open_site.cancel_in(stage, f"in_{stage}", SLEEPS_IN[stage], tmp_path / "elsewhere")
    assert "cancelled" in open_site.kbd("status", f"in_{stage}")


def test_cancel_jobs_that_wait(site):
    """In the queue, in the inbox of a paused daemon, over, unknown."""
    site.deliver("busy", SLEEPS_IN["correctness"])
    with site.running():
        site.wait_for_stage("busy", "correctness")
        site.deliver("queued", QUICK)
        site.wait_for("claimed", job="queued")
        site.kbd("cancel", "queued")
        site.kbd("pause")
        site.deliver("unclaimed", QUICK)
        site.kbd("cancel", "unclaimed")
        assert "had ended before: cancelled" in site.kbd("cancel", "queued")
        assert "no job is called nobody" in site.kbd("cancel", "busy", "nobody", code=3)
        site.kbd("resume")
        site.deliver("good", QUICK)
        site.result("good")
        assert "good had ended before: passed" in site.kbd("cancel", "good")
    statuses = {name: result["status"] for name, result in site.daemon.results().items()}
    cancelled = dict.fromkeys(["busy", "queued", "unclaimed"], "cancelled")
    assert statuses == {**cancelled, "good": "passed"}
    assert {record["job"] for record in site.log("attempt")} == {"busy", "good"}
    assert list(site.spool.control.glob("*.json")) == []


def test_a_pause_outlives_the_daemon(site):
    site.deliver("before", QUICK)
    with site.running():
        site.result("before")
        site.kbd("pause", "--reason", "new driver")
        site.deliver("during", QUICK)
        site.turn()
        assert site.waiting() == ["during.yaml"]
        pause = until(lambda: site.status()["pause"], "the pause in status.json")
        assert pause["reason"] == "new driver"
        assert pause["by"]
        assert "new driver" in site.kbd("status")
    with site.running():
        until(lambda: site.log("judge_ready")[1:], "the second daemon")
        site.turn()
        assert site.status()["pause"] == pause
        assert site.waiting() == ["during.yaml"]
        site.kbd("resume")
        assert site.result("during")["status"] == "passed"
        until(lambda: site.status()["paused"] is None, "no pause in status.json")


def test_drain_finishes_what_is_queued(site):
    names = [f"job{number}" for number in range(4)]
    for name in names:
        site.deliver(name, QUICK)
    site.kbd("drain", code=4)
    with site.running() as process:
        site.wait_for("claimed", count=len(names))
        site.kbd("drain")
        site.deliver("late", QUICK)
        assert process.wait(LIMIT_S) == 0
    assert {result["status"] for result in site.daemon.results().values()} == {"passed"}
    assert sorted(site.daemon.results()) == names
    assert site.waiting() == ["late.yaml"]


def test_the_last_snapshot_tells_how_it_ended(site, tmp_path):
    """To those who see the spool alone."""
    site.deliver("good", GOOD)
    with site.running(KBD_STATUS_INTERVAL_S="600") as process:
        site.wait_for("claimed", job="good")
        process.terminate()
        assert process.wait(LIMIT_S) == 0
        site.daemon.run_once(KBD_STATUS_INTERVAL_S="600")
    told = json.loads(site.spool.status_file.read_text())
    assert {state: count for state, count in told["queue"].items() if count} == {"completed": 1}
    assert told["running"] == []
    assert told["ending"] == {"left_s": None, "over": True}
    assert "1 completed" in site.kbd("status", state=tmp_path / "elsewhere")


def test_status_tells_of_a_daemon_that_is_stopping(site, tmp_path):
    site.deliver("busy", SLEEPS_IN["correctness"])
    with site.running() as process:
        site.wait_for_stage("busy", "correctness")
        process.terminate()
        left_s = until(lambda: site.status()["ending"], "the end in status.json")["left_s"]
        assert left_s > 0
        said = site.kbd("status")
        assert f"stopping (pid {process.pid}" in said
        assert "waits   for busy to end" in said
        assert "is stopping on host" in site.kbd("status", state=tmp_path / "elsewhere")
        process.terminate()
        assert process.wait(LIMIT_S) == 0


def test_drain_during_a_pause_leaves_the_queue(site):
    site.deliver("busy", SLEEPS_IN["correctness"])
    with site.running() as process:
        site.wait_for_stage("busy", "correctness")
        site.deliver("queued", QUICK)
        site.wait_for("claimed", job="queued")
        site.kbd("pause")
        site.kbd("drain")
        site.kbd("cancel", "busy")
        assert process.wait(LIMIT_S) == 0
    assert sorted(site.daemon.results()) == ["busy"]
    with site.running():
        site.kbd("resume")
        assert site.result("queued")["status"] == "passed"


def test_signals_during_the_end_change_nothing(site):
    site.deliver("a", QUICK)
    with site.running() as process:
        site.result("a")
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.005)  # a daemon that only handles signals gets nowhere
        assert process.returncode == 0
    assert site.log("stopped")


@together
def test_a_rerun_draws_the_same_inputs(open_site):
    """The largest error tells the inputs apart: other inputs round differently."""
    site = open_site
    site.deliver(
        "sum",
        "reference: {kernel_type: torch, source_code: 'def f(x): return x.sum(-1)'}\n"
        "candidate: {kernel_type: torch, source_code: 'def f(x): return x.flip(-1).sum(-1)'}\n"
        "io: {args: [{name: x, type: tensor, tensor_spec: {shape: [64, 999], dtype: float32}}]}\n"
        "evaluation: {mode: correctness}\n",
    )
    first = site.result("sum")
    assert site.kbd("rerun", "sum").split() == ["sum.r1"]
    assert site.kbd("rerun", "sum", "--seed", "3").split() == ["sum.r2"]
    again, other = site.result("sum.r1"), site.result("sum.r2")
    assert (again["seed"], other["seed"]) == (first["seed"], 3)
    errors = [result["workloads"][0]["correctness"]["outputs"] for result in (first, again, other)]
    assert errors[0] == errors[1]
    assert errors[0] != errors[2]


@together
def test_retry_gives_a_new_id(open_site):
    site = open_site
    site.deliver("a", QUICK + "id: named\nlabels: {step: one}\n")
    case = site.daemon.spool.inbox / ".case.tmp"
    case.mkdir()
    (case / "kernel.py").write_text("def same(x):\n    return x + 0\n")
    (case / "job.yaml").write_text(
        "candidate: {kernel_type: torch, source_file: kernel.py}\n"
        "io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}\n"
        "evaluation: {mode: correctness}\nid: folder\n"
    )
    case.rename(site.daemon.spool.inbox / "case.job")
    site.result("named"), site.result("folder")
    assert site.kbd("retry", "named", "folder").split() == ["named.r1", "folder.r1"]
    assert site.kbd("retry", "named").split() == ["named.r2"]
    assert site.kbd("retry", "named.r2").split() == ["named.r3"]
    for name in ("named.r1", "named.r2", "named.r3", "folder.r1"):
        assert site.result(name)["status"] == "passed"
    assert site.result("named.r3")["labels"] == {"step": "one"}
    site.deliver("sleeper", SLEEPS_IN["correctness"])
    site.wait_for_stage("sleeper", "correctness")
    assert "no result yet" in site.kbd("retry", "sleeper", code=6)
    site.kbd("cancel", "sleeper")
    site.kbd("retry", "nobody", code=3)


def test_faults_of_the_judge_are_tried_again_with_rests_and_block_nobody(site):
    site.deliver("a", SLEEPS_IN["correctness"])
    with site.running():
        for attempt in (1, 2, 3):
            site.wait_for("stage", count=attempt, job="a", stage="correctness")
            psutil.Process(site.log("judge_ready")[-1]["pid"]).kill()
            if attempt == 1:
                site.wait_for("resting", job="a", seconds=2.0)
                site.deliver("b", QUICK)
                assert site.result("b")["status"] == "passed"
            elif attempt == 2:
                site.wait_for("resting", job="a", seconds=4.0)
                assert site.kbd("retry", "a").split() == ["a"]
        result = site.result("a")
    assert (result["status"], result["blame"], result["attempt"]) == ("harness_error", "harness", 3)
    (note,) = [note for note in result["notes"] if note.startswith("given up after 3 attempts")]
    assert note.count("attempt ") == 2, "the reasons of the earlier ones; the last one's is the error"


@pytest.mark.fault("one owner floods the inbox")
def test_an_owner_with_few_jobs_does_not_wait_for_one_with_many(site):
    for number in range(300):
        site.deliver(f"many{number:03d}", QUICK, owner="ann")
    with site.running():
        site.wait_for("claimed", count=100)  # those that come now come later than these
        for number in range(5):
            site.deliver(f"few{number}", QUICK, owner="bob")
        for number in range(5):
            assert site.result(f"few{number}")["status"] == "passed"
    records = site.log("claimed", "attempt", "stopping")
    actions = [record["action"] for record in records]
    assert actions[actions.index("stopping") :].count("attempt") <= 1, "it stops however many jobs wait"
    jobs = [(record["action"], record.get("job")) for record in records]
    last_claim = max(place for place, job in enumerate(jobs) if job[0] == "claimed" and "few" in job[1])
    last_start = max(place for place, job in enumerate(jobs) if job[0] == "attempt" and "few" in job[1])
    between = [name for action, name in jobs[last_claim:last_start] if action == "attempt"]
    assert sum("many" in name for name in between) <= 6, between
    assert len(site.daemon.results()) < 300


@pytest.mark.fault("a disk is full")
def test_no_more_is_claimed_than_the_queue_holds(site):
    names = [f"job{number}" for number in range(7)]
    for name in names:
        site.deliver(name, QUICK)
    with site.running(KBD_QUEUE_LIMIT="3"):
        for name in names:
            site.result(name)
    queued = longest = 0
    for record in site.log("claimed", "attempt"):
        queued += 1 if record["action"] == "claimed" else -1
        longest = max(longest, queued)
    assert longest == 3
    assert any("KBD_QUEUE_LIMIT" in record["reason"] for record in site.log("held"))
    assert site.log("claiming_resumed")


@pytest.mark.fault("a disk is full")
def test_nothing_is_claimed_on_a_full_disk(site):
    site.deliver("a", QUICK)
    with site.running(KBD_MIN_FREE_BYTES=str(1 << 62)):
        paused = until(lambda: site.status()["paused"], "a reason in status.json")
        assert "KBD_MIN_FREE_BYTES" in paused
        assert site.waiting() == ["a.yaml"]
    with site.running():
        assert site.result("a")["status"] == "passed"


@together
def test_jobs_run_only_on_the_device_they_ask_for(open_site):
    site = open_site
    site.deliver("other", QUICK + 'device: {name: "*Cray-1*"}\n')
    site.deliver("arch", QUICK + "device: {arch: sm_90}\n")
    site.deliver("any", QUICK + 'device: {kind: cpu, name: "*"}\n')
    other, arch = site.result("other"), site.result("arch")
    assert site.result("any")["status"] == "passed"
    here = site.result("any")["device"]["name"]
    for result in (other, arch):
        assert (result["status"], result["blame"]) == ("unsupported", "job")
        assert here in result["error"]["message"]
    assert "'*Cray-1*'" in other["error"]["message"]
    assert "'sm_90'" in arch["error"]["message"]
