"""What every command prints, in whole: transcripts in golden/transcripts/, one a case, on one populated spool.

Pages that have golden files of their own (show, compare, stats, report, doctor, help) are left out.
"""

import json
import os
import re
import time

import pytest

from kbd.backends.artifacts import ArtifactCache, seal
from kbd.daemon.configuration import file as config_file
from kbd.daemon.job_logs.archive import LogArchive
from kbd.daemon.job_logs.segments import segment_path
from kbd.inbox.claim import Refusal, Refused
from kbd.inbox.errors import Problem
from kbd.inbox.quarantine import Quarantine
from kbd.outbox.verdict import EvaluationStatus
from kbd.store.states import JobState

NOW = 1_090.0
GPU = {
    "key": "GPU-1",
    "name": "NVIDIA H200",
    "kind": "cuda",
    "arch": "sm_90",
    "state": "busy",
    "job": "working",
    "problem": None,
    "since": "1970-01-01T00:10:00.000+00:00",
}
OUT = GPU | {"key": "GPU-2", "state": "out", "job": None, "problem": "Xid 79: it fell off the bus"}
WRONG = """\
candidate: {kernel_type: torch, source_cod: x}
io:
  args:
    - {name: x, type: tensor, tensor_spec: {shape: [4], dtype: float33}}
  launch: 256
timeout: -1
"""


@pytest.fixture
def populated(
    place, spool, store, has_remembered, has_published, has_queued, make_result, make_failure, job_file
):
    """A job in each state, one in the inbox, one in quarantine, a compiled kernel, logs, something old."""
    good = has_remembered(make_result("softmax-v2"))
    bad = has_remembered(make_failure(EvaluationStatus.CRASHED, "gelu", "killed by SIGSEGV"))
    for result in (good, bad):
        has_published(result)
    has_queued("working")
    store.begin_attempt("working", "cuda:GPU-1", JobState.PROFILING)
    has_queued("queued")
    (spool.inbox / "new.yaml").write_text("")
    subject = job_file("odd.yaml", "x" * 2000)
    problem = Problem("/candidate", "a field is missing", hint="add it")
    Quarantine(spool).put_all([Refused(subject, "team", "odd", Refusal.INVALID_JOB, (problem,), "no job")])
    log = segment_path(LogArchive(place.state).path("softmax-v2", 1, "candidate"), 0)
    log.parent.mkdir(parents=True)
    log.write_text("hello\nworld\n")
    _compiled(place)
    (spool.done / "20250101").mkdir()
    (spool.done / "20250101" / "old.yaml").write_text("x: 1\n")
    spool.status_file.write_text(json.dumps({"daemon": {"pid": 77, "host": "box"}, "devices": [GPU, OUT]}))


def _compiled(place):
    descriptor = os.memfd_create("source")
    os.truncate(descriptor, 2048)
    cache = ArtifactCache(place.state / "artifacts", 1 << 20)
    cache.publish("ab" * 32, archive := seal(descriptor, 2048))
    archive.close()
    os.close(descriptor)


@pytest.fixture
def transcript(kbd, place, tmp_path, monkeypatch, same_as_golden):
    """Run one command line and compare all that it says with its golden file."""
    for name in [name for name in os.environ if name.startswith("KBD_")]:
        if name not in ("KBD_SPOOL", "KBD_STATE"):
            monkeypatch.delenv(name)
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config_file, "SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    monkeypatch.chdir(tmp_path)

    def compare(name, line):
        said = _run(kbd, monkeypatch, line)
        if name == "config_show":  # its columns are as wide as the longest path
            said = re.sub(r"(?<=\S) {2,}(?=\S)", "  ", said)
        same_as_golden(_neutral(said, tmp_path), f"transcripts/{name}.txt")

    return compare


def _run(kbd, monkeypatch, line):
    with monkeypatch.context() as patch:
        if line.startswith("on a terminal: "):
            patch.setenv("FORCE_COLOR", "1")
        if any(name in line for name in ("status", "devices", "show working", "quarantine ls")):
            patch.setattr(time, "time", lambda: NOW)
        ended = kbd(*line.removeprefix("on a terminal: ").split())
    complaints = "".join(f"2> {said}\n" for said in ended.err.splitlines())
    return f"$ kbd {line}\n{ended.out}{complaints}exit {ended.code}\n"


def _neutral(said, tmp_path):
    """Without what differs from host to host and from day to day."""
    said = said.replace("\x1b", "␛").replace(str(tmp_path), "/tmp/t")
    said = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME", said)
    said = re.sub(r"(?<=/tmp/t/) {2,}", "  ", said)
    said = re.sub(r"(.*/tmp/t/.*)", lambda found: re.sub(r"(?<=\S) {3,}", "  ", found[0]), said)
    return re.sub(r" +$", "", said, flags=re.MULTILINE)


WITH_A_DAEMON = {
    "status": "status",
    "status_on_a_terminal": "on a terminal: status",
    "status_json": "status --json",
    "status_jsonl": "status --format jsonl",
    "status_tsv": "status --format tsv",
    "status_of_some": "status softmax-v2 new",
    "status_of_none": "status --status timeout",
    "devices": "devices",
    "devices_on_a_terminal": "on a terminal: devices",
    "devices_json": "devices --json",
    "show_unfinished": "show working",
    "show_unfinished_json": "show working --json",
}
WITHOUT = {
    "status_without_a_daemon": "status",
    "status_of_a_stranger": "status stranger",
    "show_a_stranger": "show stranger",
    "wait": "wait softmax-v2 gelu",
    "wait_on_a_terminal": "on a terminal: wait softmax-v2 gelu",
    "wait_without_a_daemon": "wait queued",
    "logs": "logs softmax-v2",
    "logs_of_none": "logs gelu",
    "quarantine_ls": "quarantine ls",
    "quarantine_ls_on_a_terminal": "on a terminal: quarantine ls",
    "quarantine_ls_json": "quarantine ls --json",
    "quarantine_show": "quarantine show odd.yaml",
    "quarantine_show_json": "quarantine show odd.yaml --json",
    "quarantine_release": "quarantine release odd.yaml",
    "quarantine_rm": "quarantine rm odd.yaml nothing",
    "gc": "gc",
    "gc_json": "gc --dry-run --json",
    "gc_verbose": "gc done --older-than 1d --dry-run --verbose",
    "cache": "cache",
    "cache_json": "cache --json",
    "cache_cleared": "cache --clear",
    "config_show": "config show",
    "config_show_json": "config show --json",
    "config_path": "config path",
    "config_check_missing": "config check",
    "config_check_wrong": "config check wrong.toml",
    "submit": "submit good.yaml",
    "submit_wrong": "submit wrong.yaml",
    "submit_missing": "submit missing.yaml",
    "submit_of_no_kind": "submit kernel.cu",
    "submit_of_a_module": "submit kernel.py",
    "submit_too_large": "submit large.yaml",
    "validate": "validate good.yaml",
    "validate_wrong": "validate wrong.yaml",
    "validate_doubtful": "validate doubtful.yaml",
    "validate_tabs": "validate tabs.yaml",
    "show_nearly": "show softmx-v2",
    "validate_json": "validate --json good.yaml wrong.yaml doubtful.yaml",
    "cancel_without_a_daemon": "cancel queued",
    "retry_without_a_daemon": "retry gelu",
    "rerun_without_a_daemon": "rerun gelu",
    "pause_without_a_daemon": "pause",
    "resume_without_a_daemon": "resume",
    "drain_without_a_daemon": "drain",
    "compare_with_a_stranger": "compare softmax-v2 stranger",
    "usage_option": "status --jsn",
    "usage_value": "status --job-state done",
    "usage_argument": "show",
    "usage_command": "stauts",
}
EMPTY = {
    "empty_status": "status",
    "empty_status_json": "status --json",
    "empty_devices": "devices",
    "empty_quarantine": "quarantine ls",
    "empty_health": "health",
    "empty_health_json": "health --json",
    "empty_stats": "stats",
    "empty_report": "report",
    "no_spool_status": "status --spool nowhere",
    "no_spool_submit": "submit good.yaml --spool nowhere",
    "init": "init --spool new",
}


@pytest.fixture
def _files(job_file):
    job_file("good.yaml")
    job_file("wrong.yaml", WRONG)
    job_file("doubtful.yaml", "candidate: {kernel_type: tirton, source_code: x}\n")
    job_file("tabs.yaml", "candidate:\n\tkernel_type: torch\n")
    job_file("kernel.cu", "__global__ void f() {}\n")
    job_file("kernel.py", "class ModelNew: pass\n")
    job_file("large.yaml", "a" * (1 << 21))
    job_file("wrong.toml", "cpu_slot = 2\n[limits]\nload_s = -1\n")


@pytest.mark.parametrize(("name", "line"), WITH_A_DAEMON.items(), ids=WITH_A_DAEMON)
def test_beside_a_daemon(transcript, populated, daemon_runs, name, line):
    with daemon_runs(pid=77, host="box"):
        transcript(name, line)


@pytest.mark.usefixtures("_files", "populated")
@pytest.mark.parametrize(("name", "line"), WITHOUT.items(), ids=WITHOUT)
def test_without_a_daemon(transcript, spool, name, line):
    spool.status_file.unlink()
    transcript(name, line)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(("name", "line"), EMPTY.items(), ids=EMPTY)
def test_on_an_empty_spool(transcript, name, line):
    transcript(name, line)


def test_no_transcript_lies_there_unused(request):
    folder = request.path.parent / "golden" / "transcripts"
    assert {path.stem for path in folder.iterdir()} == {*WITH_A_DAEMON, *WITHOUT, *EMPTY}
