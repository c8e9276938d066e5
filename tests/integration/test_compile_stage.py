"""The compile stage in real daemons: no device is held, nothing is left, nothing is built twice."""

import functools
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from kbd.daemon.ownership import running_daemon
from tests import waiting

LIMIT_S = 200
until = functools.partial(waiting.until, limit_s=LIMIT_S)
SAMPLES = Path(__file__).parent.parent / "samples"
EXTENSION = (SAMPLES / "torch_cuda_honest" / "candidate.py").read_text()
IO = {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [8], "dtype": "float32"}}]}
# Blocks in the compiler, where the module is executed; its helper is no longer in its process group.
BLOCKS = """
import subprocess, time
from torch.utils import cpp_extension
subprocess.Popen(["sleep", "{marker}"], start_new_session=True)
print("in the compiler", flush=True)
time.sleep(600)
"""
QUICK = "def same(x):\n    return x + 0\n"


def job(source, kernel_type="torch_cuda", **more):
    evaluation = {"num_correct_trials": 1, "mode": "correctness"}
    candidate = {"kernel_type": kernel_type, "source_code": source} | more.pop("candidate", {})
    return json.dumps({"version": 1, "candidate": candidate, "io": IO, "evaluation": evaluation} | more)


@pytest.fixture
def marker():
    """A number of seconds that nobody else sleeps for."""
    return f"87{os.getpid()}"


@pytest.fixture
def sleepers(marker):
    """Processes that sleep for so long, now."""

    def look():
        found = []
        for process in psutil.process_iter():
            try:
                if marker in process.cmdline():
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    return look


def records(daemon, action, **fields):
    """Records of the log with this action and these fields."""
    try:
        log = daemon.log()
    except (FileNotFoundError, json.JSONDecodeError):  # a line may be half written
        return []
    return [
        record
        for record in log
        if record.get("action") == action and all(record.get(name) == value for name, value in fields.items())
    ]


def running_now(daemon):
    """What status.json says is running."""
    return json.loads((daemon.spool.root / "status.json").read_text())["running"]


@contextmanager
def running(daemon):
    """A daemon for the length of the block."""
    process = subprocess.Popen(daemon.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: running_daemon(daemon.state), "the daemon")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_S)


@pytest.fixture
def shared(standing):
    """One daemon for all tests that only look at jobs of their own."""
    return standing


together = pytest.mark.xdist_group("standing")


def own(text):
    """The extension, unlike that of any other test."""
    return f"{EXTENSION}\n# {text}\n"


def judge(daemon, **jobs):
    """The results of these jobs."""
    for name, text in jobs.items():
        daemon.deliver(f"{name}.json", text)
    until(
        lambda: jobs.keys() <= {path.stem for path in daemon.spool.outbox.glob("*.json")},
        f"the results of {', '.join(jobs)}",
    )
    return {name: daemon.results()[name] for name in jobs}


def compilers(daemon):
    """How many compilers were started so far."""
    return len(records(daemon, "compiler_forked"))


def kbd(daemon, *arguments):
    place = ["--spool", str(daemon.spool.root), "--state", str(daemon.state)]
    command = [sys.executable, "-m", "kbd.daemon.cli.main", arguments[0], *place, *arguments[1:]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_nothing_is_built_twice(daemon):
    """The same source under another id, with other shapes and later: no compiler. Another flag: one more."""
    daemon.deliver("first.json", job(EXTENSION))
    daemon.run_once()
    assert compilers(daemon) == 1
    other = {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [99], "dtype": "float32"}}]}
    daemon.deliver("second.json", job(EXTENSION))
    daemon.deliver("shapes.json", job(EXTENSION, io=other))
    with running(daemon):
        until(lambda: {"second", "shapes"} <= daemon.results().keys(), "results of what is built already")
        assert compilers(daemon) == 1
        judge(daemon, flag=job(EXTENSION, candidate={"compile_options": {"cflags": ["-DOTHER"]}}))
        assert compilers(daemon) == 2
    results = daemon.results()
    assert {result["status"] for result in results.values()} == {"passed"}
    assert all(result["compiled"] for result in results.values())
    assert results["second"]["timings_s"]["compile"] is not None


@together
def test_the_same_kernel_twice_in_one_job_is_built_once(shared):
    source, before = own("twice"), compilers(shared)
    reference = {"kernel_type": "torch_cuda", "source_code": source}
    assert judge(shared, pair=job(source, reference=reference))["pair"]["status"] == "passed"
    assert compilers(shared) == before + 1


@together
def test_a_damaged_artifact_is_built_again(shared):
    def artifacts():
        return set((shared.state / "artifacts").glob("*/*.artifact"))

    source, before, forked = own("damaged"), artifacts(), compilers(shared)
    assert judge(shared, sound=job(source))["sound"]["status"] == "passed"
    (artifact,) = artifacts() - before
    content = bytearray(artifact.read_bytes())
    content[len(content) // 2] ^= 0xFF
    artifact.write_bytes(content)
    assert judge(shared, damaged=job(source))["damaged"]["status"] == "passed"
    assert compilers(shared) == forked + 2


@together
def test_a_failed_build_is_not_kept(shared):
    broken = own("broken").replace("y[i] = ", "y[i] = nothing + ")
    forked = compilers(shared)
    judge(shared, fails=job(broken))
    error = judge(shared, fails_again=job(broken))["fails_again"]["error"]
    assert compilers(shared) == forked + 2
    line = next(n for n, text in enumerate(broken.splitlines(), 1) if "nothing" in text)
    assert f"line {line}: " in error["message"]
    assert "kbd_kernel.py" in error["traceback_tail"]
    assert "ninja" not in error["traceback_tail"]
    assert "nothing" in kbd(shared, "logs", "fails_again", "--role", "compiler")


@together
def test_no_device_is_held_by_a_compiler_and_a_cancel_leaves_nothing_of_it(shared, marker, sleepers):
    shared.deliver("slow.json", job(BLOCKS.format(marker=marker), timeout=600))
    until(sleepers, "the module in the compiler")
    (attempt,) = records(shared, "attempt", job="slow")
    assert attempt["device"] == "compiler"
    # The one device is free: a job that needs no compiler is judged meanwhile.
    shared.deliver("quick.json", job(QUICK, "torch"))
    until(lambda: "quick" in shared.results(), "the quick job")
    assert shared.results()["quick"]["status"] == "passed"
    assert "slow" not in shared.results()
    assert "compiling" in kbd(shared, "status")
    (shown,) = until(
        lambda: [run for run in running_now(shared) if run["id"] == "slow"], "status.json to tell of it"
    )
    assert (shown["id"], shown["stage"], shown["device"]) == ("slow", "compile", None)
    printed = "==> candidate_compiler <==\nin the compiler\n"
    until(lambda: kbd(shared, "logs", "slow", "--role", "compiler") == printed, "what it has printed")
    kbd(shared, "cancel", "slow")
    until(lambda: "slow" in shared.results(), "the result of the cancelled job")
    until(lambda: not sleepers(), "the end of everything in the compiler")
    assert shared.results()["slow"]["status"] == "cancelled"
    until(lambda: running_now(shared) == [], "status.json without it")


@together
def test_a_build_that_takes_too_long_is_stopped_with_all_its_processes(shared, marker, sleepers):
    endless = job(BLOCKS.format(marker=marker), timeout=3)
    results = judge(shared, endless=endless, beside=job(QUICK, "torch"))
    found = results["endless"]
    assert (found["status"], found["stage"], found["blame"]) == ("timeout", "compile", "candidate")
    assert "3 s" in found["error"]["message"]
    assert found["logs"]["candidate"] == "in the compiler\n"
    assert results["beside"]["status"] == "passed"
    assert sleepers() == []


@together
def test_a_reference_that_does_not_compile_voids_the_comparison(shared):
    broken = own("reference").replace("y[i] = ", "y[i] = nothing + ")
    reference = {"kernel_type": "torch_cuda", "source_code": broken}
    result = judge(shared, void=job(QUICK, "torch", reference=reference))["void"]
    assert (result["status"], result["stage"], result["blame"]) == (
        "invalid_reference",
        "compile",
        "reference",
    )
    assert "nothing" in result["error"]["message"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_daemon_that_ends_during_a_build_takes_the_compiler_along(daemon, marker, sleepers, how):
    with running(daemon) as process:
        daemon.deliver("slow.json", job(BLOCKS.format(marker=marker), timeout=600))
        until(sleepers, "the module in the compiler")
        process.send_signal(how)
        if how is signal.SIGTERM:  # a second one ends the grace, if it is not merged with the first
            until(lambda: records(daemon, "stopping"), "the beginning of the stop")
            process.send_signal(how)
        process.wait(LIMIT_S)
        until(lambda: not sleepers(), "the end of everything in the compiler")
    daemon.run_once(KBD_COMPILE_S="1")
    result = daemon.results()["slow"]
    assert (result["status"], result["stage"], result["attempt"]) == ("timeout", "compile", 2)


@together
def test_compiling_alone_needs_no_device(shared):
    source = "import torch\n\n\ndef same(x):\n    return x\n"
    alone = {"evaluation": {"mode": "compile"}}
    results = judge(
        shared,
        here=job(source, "torch", device={"kind": "cpu"}, **alone),
        elsewhere=job(source, "torch", device={"arch": "sm_90"}, **alone),
        nowhere=job(QUICK, "torch", device={"kind": "cuda"}, **alone),
    )
    for name in ("here", "elsewhere"):
        assert (results[name]["status"], results[name]["compiled"]) == ("passed", True)
        assert results[name]["device"] is None
    assert results["nowhere"]["status"] == "unsupported"
    assert "device.arch" in results["nowhere"]["error"]["hint"]
