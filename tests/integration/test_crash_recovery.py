"""The daemon is killed or stopped in the middle of its work: no job is lost, none has two results."""

import signal
import time

import psutil
import pytest

FEW = 8
LIMIT_S = 120

JOB = """
version: 1
candidate:
  kernel_type: torch
  source_code: |
    def double(x):
        return x + x
reference:
  kernel_type: torch
  source_code: |
    def double(x):
        return 2 * x
io:
  args:
    - {name: x, type: tensor, tensor_spec: {shape: [16], dtype: float32}}
evaluation: {num_correct_trials: 1, num_trials: 5}
"""
SLOW_JOB = JOB.replace("return x + x", "import time; time.sleep(0.02); return x + x")


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {LIMIT_S} s for: {what}"
        time.sleep(0.05)


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


def end_of(processes):
    _, alive = psutil.wait_procs(processes, timeout=20)
    return [process.pid for process in alive]


def deliver_all(daemon, count, text=JOB):
    names = [f"job{number:02d}" for number in range(count)]
    for name in names:
        daemon.deliver(f"{name}.yaml", text)
    return names


@pytest.mark.fault("the daemon is killed at any moment")
def test_kill_9_in_the_middle_of_many_jobs(daemon):
    names = deliver_all(daemon, 18)
    process = daemon.start()
    wait_until(lambda: len(published(daemon)) >= 3, "three results")
    descendants = family(process)
    process.kill()
    process.communicate()
    assert len(published(daemon)) < len(names), "killed too late to mean anything"
    assert len(descendants) >= 2
    assert end_of(descendants) == []

    before = {name: path.stat().st_ino for name, path in published(daemon).items()}
    daemon.run_once()

    results = daemon.results()
    assert sorted(results) == names
    assert {result["status"] for result in results.values()} == {"passed"}, failures(results)
    after = {name: path.stat().st_ino for name, path in published(daemon).items()}
    assert {name: after[name] for name in before} == before, "a published result was written again"
    assert list(daemon.spool.inbox.iterdir()) == []
    assert [path for path in daemon.spool.claimed.rglob("*") if path.is_file()] == []
    assert list(daemon.spool.outbox_tmp.iterdir()) == []


def published(daemon):
    return {path.stem: path for path in daemon.spool.outbox.glob("*.json")}


@pytest.mark.parametrize(("signals", "slots"), [(1, "2"), (2, "1")], ids=["sigterm", "sigterm-twice"])
def test_stopping_during_a_job_loses_nothing(daemon, signals, slots):
    names = deliver_all(daemon, FEW, SLOW_JOB)
    process = daemon.start(KBD_CPU_SLOTS=slots)
    wait_until(lambda: published(daemon), "a first result")
    descendants = family(process)
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, output.decode()
    assert end_of(descendants) == []
    before = {name: path.stat().st_ino for name, path in published(daemon).items()}
    assert 0 < len(before) < FEW
    daemon.run_once()
    results = daemon.results()
    assert sorted(results) == names
    assert {result["status"] for result in results.values()} == {"passed"}, failures(results)
    assert {name: published(daemon)[name].stat().st_ino for name in before} == before, "written once"
    assert [path for path in daemon.spool.claimed.rglob("*") if path.is_file()] == []


def test_a_nursery_and_a_judge_that_are_killed_under_load_lose_nothing_and_nobody_is_blamed(daemon):
    names = deliver_all(daemon, 12, SLOW_JOB)
    process = daemon.start(KBD_CPU_SLOTS="2")
    for kills in range(3):
        wait_until(lambda kills=kills: len(ready(daemon)) > kills, "a nursery")
        wait_until(lambda kills=kills: len(published(daemon)) > 2 * kills, "a job more or two")
        psutil.Process(ready(daemon)[-1]["pid"]).kill()
        if kills == 1:
            psutil.Process(ready(daemon, "judge_ready")[-1]["pid"]).kill()
    wait_until(lambda: len(published(daemon)) == len(names), "all results")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT_S)
    results = daemon.results()
    assert sorted(results) == names
    assert {result["status"] for result in results.values()} == {"passed"}, failures(results)
    assert len(ready(daemon)) >= 4, "each was replaced"


def ready(daemon, action="nursery_ready"):
    try:
        return [record for record in daemon.log() if record.get("action") == action]
    except FileNotFoundError:
        return []


@pytest.mark.fault("a second daemon on the same state folder")
def test_a_second_daemon_on_the_same_state_is_refused(daemon):
    first = daemon.start()
    wait_until(lambda: (daemon.state / "logs" / "daemon.log").exists() and daemon.log(), "the first daemon")
    second = daemon.start()
    output, _ = second.communicate(timeout=LIMIT_S)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=LIMIT_S)
    assert second.returncode == 1
    assert str(first.pid) in output.decode()


def failures(results):
    return {name: result["error"] for name, result in results.items() if result["status"] != "passed"}
