"""A spool and a real database, results of every kind, and `kbd` as a function."""

import fcntl
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from kbd.daemon.cli.main import main
from kbd.daemon.cli.place import Place
from kbd.inbox.spool import Spool
from kbd.outbox.circumstances import DeviceReport, EnvironmentReport, IsolationReport, StageTimings
from kbd.outbox.correctness import Correctness, OutputReport, ToleranceReport
from kbd.outbox.performance import KernelTiming, Performance, TimingFigures
from kbd.outbox.publisher import publish
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import JobResult, WorkloadResult
from kbd.outbox.verdict import SOLE_BLAME, Blame, EvaluationStatus, Stage, state_of
from kbd.store.engine import migrate, open_writer
from kbd.store.jobs import JobStore
from kbd.store.location import database_path
from kbd.store.new_job import NewJob
from kbd.store.states import JobState

SHA = "a" * 64

JOB = """\
candidate:
  kernel_type: torch
  source_code: |
    def double(x):
        return x + x
io:
  args:
    - {name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}
"""


@pytest.fixture
def place(tmp_path):
    spool = Spool.create(tmp_path / "spool")
    state = tmp_path / "state"
    state.mkdir()
    return Place(spool.root, state, spool_named=True)


@pytest.fixture
def spool(place):
    return place.spool()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Migrated once, copied for each test."""
    folder = tmp_path_factory.mktemp("empty")
    engine = open_writer(folder)
    migrate(engine)
    engine.dispose()
    return database_path(folder)


@pytest.fixture
def store(place, empty_database):
    """The writer of the place's database."""
    shutil.copy(empty_database, database_path(place.state))
    engine = open_writer(place.state)
    yield JobStore(engine, clock=lambda: 1_000.0)
    engine.dispose()


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def kbd(place, tmp_path, monkeypatch, capsys):
    """Run one command in this process, on the place, as if typed into a pipe."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("KBD_CONFIG", raising=False)
    monkeypatch.setenv("KBD_SPOOL", str(place.spool_root))
    monkeypatch.setenv("KBD_STATE", str(place.state))

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def daemon_runs(place):
    """A block during which the place's state folder is locked, as by a daemon."""

    @contextmanager
    def runs(**about):
        lock = place.state / "daemon.lock"
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            said = {"pid": 4242, "host": "here", "spool": str(place.spool_root), **about}
            lock.with_suffix(".json").write_text(json.dumps(said))
            yield

    return runs


def figures(median, samples=30):
    kept = tuple(round(median * (1 + 0.02 * ((7 * turn) % 11 - 5)), 3) for turn in range(samples))
    return TimingFigures(
        median=median,
        mean=median,
        std=0.1,
        min=median / 2,
        max=median * 2,
        p95=median * 1.5,
        p99=median * 2,
        samples=samples,
        samples_us=kept,
    )


def passed(job_id="job", **changes):
    """A result with everything in it that a job which passed on a CPU has."""
    performance = Performance(
        candidate=KernelTiming(as_called=figures(41.2)),
        reference=KernelTiming(as_called=figures(95.1)),
        speedup=2.31,
        speedup_ci95=(2.28, 2.34),
        significant=True,
        timing="as_called",
        method="wall",
        cache="cold",
        input_sets=8,
        noise=0.004,
        stop="noise 0.4% <= 0.5%",
        setup_us=12_034.0,
        peak_memory_bytes=268_435_456,
    )
    output = OutputReport(
        name="y",
        max_abs_error=1.1e-6,
        max_rel_error=3e-6,
        matched_ratio=1.0,
        tolerance=ToleranceReport(atol=1e-5, rtol=1e-4),
    )
    workload = WorkloadResult(
        name="only",
        status=EvaluationStatus.PASSED,
        correctness=Correctness(trials=5, oracle="reference upcast to float64", outputs=(output,)),
        performance=performance,
    )
    fields = {
        "job_id": job_id,
        "manifest_sha256": SHA,
        "attempt": 1,
        "state": "completed",
        "status": EvaluationStatus.PASSED,
        "compiled": True,
        "correct": True,
        "speedup": 2.31,
        "speedup_ci95": (2.28, 2.34),
        "significant": True,
        "workloads": (workload,),
        "device": DeviceReport(kind="cpu", name="Some CPU", arch="x86_64"),
        "environment": EnvironmentReport(host="box", kbd="0.1.0", python="3.11.7", torch="2.13.0"),
        "isolation": IsolationReport(missing=("sandbox: kernels run as the daemon's own user",)),
        "timings_s": StageTimings(queued=0.01, load=0.05, correctness=0.2, timing=0.6, total=0.86),
    }
    return JobResult(**(fields | changes))


def ended(status, job_id="job", message="it went wrong", **changes):
    """A result of a job that ended badly, with as little as its verdict needs."""
    error = ErrorReport(type="Trouble", message=message, hint="mend it")
    fields = {
        "job_id": job_id,
        "manifest_sha256": SHA,
        "attempt": 1,
        "state": state_of(status),
        "status": status,
        "stage": Stage.CORRECTNESS,
        "blame": SOLE_BLAME.get(status, Blame.CANDIDATE),
        "error": error,
    }
    return JobResult(**(fields | changes))


def published(spool, result):
    publish(spool, result.job_id, result.to_json())
    return result


def remembered(store, result):
    """Bring a job through its life in the database, to this result."""
    add(store, result.job_id, result.manifest_sha256)
    store.begin_attempt(result.job_id, "cpu0", JobState.VALIDATING)
    store.finish(
        result.job_id,
        JobState(result.state),
        result.to_json(),
        result.status.value,
        stage=result.stage.value if result.stage else None,
        blame=result.blame.value if result.blame else None,
        speedup=result.speedup,
        error_message=result.error.message if result.error else None,
    )
    return result


def add(store, job_id, sha256=SHA):
    store.add(
        [
            NewJob(
                job_id=job_id,
                manifest_sha256=sha256,
                manifest_text="{}",
                claimed_path="claimed/000001/x.yaml",
            )
        ]
    )


@pytest.fixture
def make_result():
    return passed


@pytest.fixture
def make_failure():
    return ended


@pytest.fixture
def dead_pid():
    """The id of a process that has ended; it is not given out again while others are free."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def has_published(spool):
    return lambda result: published(spool, result)


@pytest.fixture
def has_remembered(store):
    return lambda result: remembered(store, result)


@pytest.fixture
def has_queued(store):
    return lambda job_id, sha256=SHA: add(store, job_id, sha256)


@pytest.fixture
def job_file(tmp_path):
    """Write a valid manifest, or another text, outside of the spool."""

    def write(name="job.yaml", text=JOB):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
