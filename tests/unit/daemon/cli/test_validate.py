"""`kbd validate`: no spool, no daemon, every problem."""

import json

from kbd.daemon.cli.exit_codes import ExitCode

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
