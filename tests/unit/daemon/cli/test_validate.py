"""`kbd validate`: no spool, no daemon, every problem."""

import errno
import json

import numpy as np
import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.inbox.folder_files import FolderFiles

WRONG = "candidate: {kernel_type: torch, source_code: x}\ntimeout: -1\nsurplus: 1\n"
KERNEL = "candidate: {kernel_type: torch, source_code: x}\n"


def test_a_valid_job_is_described(kbd, job_file):
    ended = kbd("validate", path := job_file("a.yaml"))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{path}: valid job a, torch without a reference, 1 workload\n"


def test_every_problem_of_every_file_with_its_line(kbd, job_file):
    ended = kbd("validate", job_file("good.yaml"), job_file("wrong.yaml", WRONG), job_file("b.json", "{"))
    assert ended.code == ExitCode.REJECTED
    assert "valid job good" in ended.out
    for said in ("wrong.yaml is no job", "/timeout (line 2)", "/surplus (line 3)", "b.json is no job"):
        assert said in ended.err
    assert "submitted" not in ended.err


def test_json_for_editors(kbd, job_file):
    ended = kbd("validate", "--json", job_file("good.yaml"), job_file("wrong.yaml", WRONG))
    assert (ended.code, ended.err) == (ExitCode.REJECTED, "")
    good, wrong = json.loads(ended.out)["files"]
    assert (good["valid"], good["job_id"], good["problems"]) == (True, "good", [])
    assert (wrong["valid"], wrong["job_id"]) == (False, None)
    assert [(problem["pointer"], problem["line"]) for problem in wrong["problems"]] == [
        ("/timeout", 2),
        ("/surplus", 3),
    ]


def test_what_must_not_be_read_is_no_verdict_on_the_job(kbd, tmp_path, job_file):
    link = tmp_path / "link.yaml"
    link.symlink_to(job_file("a.yaml"))
    ended = kbd("validate", link)
    assert ended.code == ExitCode.UNUSABLE
    assert "cannot be read" in ended.err


DATA = """\
candidate: {kernel_type: torch, source_file: kernel.py}
io:
  args:
    - {name: x, type: tensor, tensor_spec: {shape: [4], data: {file: x.npy}}}
    - {name: y, type: tensor, tensor_spec: {shape: [4], data: {file: y.npy}}}
"""


@pytest.fixture
def job_folder(tmp_path):
    folder = tmp_path / "a.job"
    folder.mkdir()
    (folder / "job.yaml").write_text(DATA)
    (folder / "kernel.py").write_text("def add(x, y): return x + y\n")
    np.save(folder / "x.npy", np.zeros(4, np.float32))
    np.save(folder / "y.npy", np.zeros(5))
    return folder


def test_data_files_that_are_not_as_the_contract_says(kbd, job_folder):
    ended = kbd("validate", job_folder)
    assert (ended.code, ended.out) == (ExitCode.REJECTED, "")
    where, what = ended.err.splitlines()
    assert where == f"{job_folder} is no job:"
    assert what.startswith("  /io/args/1/tensor_spec/data/file (line 5): ")
    assert "expected data of shape [4], found [5]" in what
    np.save(job_folder / "y.npy", np.zeros(4, np.float32))
    assert kbd("validate", job_folder).code == ExitCode.OK


def test_data_files_are_looked_at_before_they_are_submitted(kbd, spool, job_folder):
    ended = kbd("submit", job_folder)
    assert ended.code == ExitCode.REJECTED
    assert "expected data of shape [4], found [5]" in ended.err
    assert list(spool.inbox.iterdir()) == []


def test_files_beside_a_job_that_are_not_there(kbd, job_folder):
    for name in ("kernel.py", "x.npy"):
        (job_folder / name).unlink()
    ended = kbd("validate", job_folder)
    assert ended.code == ExitCode.REJECTED
    for pointer in ("/candidate/source_file (line 1)", "/io/args/0/tensor_spec/data/file (line 4)"):
        assert f"{pointer}: no such file in the job's folder" in ended.err


def test_a_file_beside_a_job_that_may_not_be_read(kbd, job_folder, monkeypatch):
    def denied(name, limits_bytes=None):
        raise PermissionError(errno.EACCES, "Permission denied", "kernel.py")

    monkeypatch.setattr(FolderFiles, "read_source", denied)
    ended = kbd("validate", job_folder)
    assert ended.code == ExitCode.UNUSABLE
    assert ended.err == f"{job_folder} cannot be read: kernel.py: Permission denied\n"


def test_terminal_sequences_in_a_document_are_shown_and_not_obeyed(kbd, job_file):
    ended = kbd("validate", job_file("a.yaml", '"\\e[31mevil": 1\ncandidate: {}\n'))
    assert ended.code == ExitCode.REJECTED
    assert "\x1b" not in ended.err


def test_usage(kbd):
    assert kbd("validate").code == ExitCode.USAGE
    assert kbd("validate", "missing.yaml").code == ExitCode.USAGE


def test_what_is_asked_for_in_vain_is_doubtful(kbd, job_file):
    asked = "evaluation: {sanitizer: memcheck, device_metrics: {enabled: true}}\n"
    ended = kbd("validate", job_file("a.yaml", KERNEL + asked))
    assert ended.code == ExitCode.OK
    sanitizer, counters = (line for line in ended.err.splitlines() if "evaluation" in line)
    assert "doubtful: evaluation.sanitizer: memcheck is not run" in sanitizer
    assert "doubtful: evaluation.device_metrics: not measured" in counters
