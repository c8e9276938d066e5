"""`kbd submit`, without a daemon."""

import io

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.inbox.job_file import read_job


def inbox(spool):
    return sorted(path.name for path in spool.inbox.iterdir())


def test_ids_are_printed_and_jobs_delivered(kbd, spool, job_file, daemon_runs):
    text = job_file().read_text()
    with daemon_runs():
        ended = kbd("submit", job_file("a.yaml"), job_file("b.yaml", f"id: other\n{text}"))
    assert (ended.code, ended.out, ended.err) == (0, "a\nother\n", "")
    assert inbox(spool) == ["a.yaml", "b.yaml"]


def test_a_folder(kbd, spool, tmp_path):
    folder = tmp_path / "pair.job"
    folder.mkdir()
    (folder / "reference.py").write_text("class Model: ...\n\ndef get_inputs(): ...\n")
    (folder / "candidate.py").write_text("class ModelNew: ...\n")
    ended = kbd("submit", folder)
    assert (ended.code, ended.out) == (0, "pair\n"), ended.err
    assert sorted(path.name for path in (spool.inbox / "pair.job").iterdir()) == [
        "candidate.py",
        "reference.py",
    ]


def test_all_problems_of_all_files_are_shown_and_nothing_is_delivered(kbd, spool, job_file):
    wrong = job_file("wrong.yaml", "candidate: {kernel_type: torch}\ntimeout: -1\nsurplus: 1\n")
    broken = job_file("broken.json", '{"candidate": NaN}')
    ended = kbd("submit", job_file("good.yaml"), wrong, broken)
    assert ended.code == ExitCode.REJECTED
    assert ended.out == ""
    for pointer in ("/candidate", "/timeout", "/surplus"):
        assert pointer in ended.err
    assert "wrong.yaml" in ended.err
    assert "broken.json" in ended.err
    assert "Nothing was submitted" in ended.err
    assert inbox(spool) == []


def test_two_files_with_one_id(kbd, spool, job_file):
    text = job_file().read_text()
    ended = kbd("submit", job_file("a.yaml"), job_file("b.yaml", f"id: a\n{text}"))
    assert ended.code == ExitCode.REJECTED
    assert "2 of these files have the id a" in ended.err
    assert inbox(spool) == []


def test_an_id_that_belongs_to_a_published_job(kbd, spool, job_file, has_published, make_result):
    has_published(make_result("a"))
    ended = kbd("submit", job_file("a.yaml"))
    assert ended.code == ExitCode.REJECTED
    assert "another job has this id already: a" in ended.err
    assert inbox(spool) == []


def test_an_id_that_belongs_to_a_queued_job(kbd, spool, job_file, has_queued):
    has_queued("a")
    assert kbd("submit", job_file("a.yaml")).code == ExitCode.REJECTED
    assert inbox(spool) == []


def test_the_same_job_again_is_welcome(kbd, spool, job_file, has_published, make_result):
    path = job_file("a.yaml")
    has_published(make_result("a", manifest_sha256=read_job(path).sha256))
    assert kbd("submit", path).code == 0
    assert inbox(spool) == ["a.yaml"]


def test_a_job_of_this_name_waits_in_the_inbox(kbd, spool, job_file):
    assert kbd("submit", job_file("a.yaml")).code == 0
    ended = kbd("submit", job_file("a.yaml"))
    assert ended.code == ExitCode.REJECTED
    assert "waiting in the inbox already" in ended.err


def test_waiting_without_a_daemon_ends_at_once_and_keeps_the_job(kbd, spool, job_file):
    ended = kbd("submit", "--wait", job_file("a.yaml"))
    assert ended.code == ExitCode.NO_DAEMON
    assert ended.out == ""
    assert "submitted a" in ended.err
    assert "kbd run --spool" in ended.err
    assert inbox(spool) == ["a.yaml"]


def test_waiting_for_a_job_that_is_judged_already(kbd, job_file, has_published, make_result):
    path = job_file("a.yaml")
    has_published(make_result("a", manifest_sha256=read_job(path).sha256))
    ended = kbd("submit", "--wait", path)
    assert (ended.code, ended.out.split()[:2]) == (0, ["a", "passed"])


def test_a_result_of_other_bytes_is_not_passed_off_as_ours(
    kbd, job_file, daemon_runs, has_published, make_result, monkeypatch
):
    """Somebody else's job with this id is published between our check and our delivery."""
    monkeypatch.setattr("kbd.daemon.cli.submission.require_free_ids", lambda *_: None)
    has_published(make_result("a"))
    with daemon_runs():
        ended = kbd("submit", "--wait", job_file("a.yaml"))
    assert ended.code == ExitCode.REJECTED
    assert "is that of another job" in ended.err


@pytest.mark.parametrize("arguments", [(), ("missing.yaml",), ("--timeout", "3", "x.yaml")])
def test_usage(kbd, arguments):
    assert kbd("submit", *arguments).code == ExitCode.USAGE


def test_a_timeout_needs_wait(kbd, job_file):
    ended = kbd("submit", "--timeout", "3", job_file())
    assert ended.code == ExitCode.USAGE
    assert "--wait" in ended.err


def test_no_spool(kbd, job_file, monkeypatch, tmp_path):
    ended = kbd("submit", "--spool", tmp_path / "nothing", job_file())
    assert ended.code == ExitCode.NOT_FOUND
    assert "kbd init --spool" in ended.err


@pytest.fixture
def pair(tmp_path):
    """A KernelBench reference and two candidates, none with a manifest."""
    reference = tmp_path / "ref.py"
    reference.write_text("class Model: ...\n\ndef get_inputs(): ...\n")
    candidates = [tmp_path / "fast.py", tmp_path / "faster.py"]
    for candidate in candidates:
        candidate.write_text("class ModelNew: ...\n")
    return reference, candidates


def test_candidates_with_a_reference_need_no_manifest(kbd, spool, pair):
    reference, candidates = pair
    ended = kbd("submit", "--ref", reference, *candidates)
    assert (ended.code, ended.out) == (0, "fast\nfaster\n")
    assert "doubtful" not in ended.err
    assert inbox(spool) == ["fast.job", "faster.job"]
    job = read_job(spool.inbox / "fast.job")
    assert job.manifest.reference.source_code == reference.read_text()
    assert job.manifest.candidate.source_code == candidates[0].read_text()


def test_a_pair_can_be_given_an_id(kbd, spool, pair):
    reference, (candidate, _) = pair
    assert kbd("submit", "--ref", reference, "--id", "mine", candidate).out == "mine\n"
    assert inbox(spool) == ["mine.job"]


def test_a_pair_that_is_none_is_called_by_its_files(kbd, spool, pair):
    reference, (candidate, _) = pair
    candidate.write_text("def f(x): return x\n")
    ended = kbd("submit", "--ref", reference, candidate)
    assert ended.code == ExitCode.REJECTED
    assert f"{candidate} against {reference} is no job" in ended.err
    assert "class ModelNew" in ended.err
    assert inbox(spool) == []


def test_a_manifest_on_stdin(kbd, spool, job_file, monkeypatch):
    text = job_file().read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert kbd("submit", "-", "--id", "piped").out == "piped\n"
    assert (spool.inbox / "piped.yaml").read_bytes() == text


def test_the_same_text_on_stdin_is_the_same_job(kbd, job_file, monkeypatch):
    text = job_file().read_bytes()
    ids = set()
    for text_now in (text, text, text + b"# another\n"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text_now)))
        ended = kbd("submit", "-")
        ids.add(ended.out or ended.err)
    assert len([one for one in ids if one.startswith("job-")]) == 2
    assert any("waiting in the inbox already" in one for one in ids)


def test_a_folder_of_jobs(kbd, spool, job_file, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("b.yaml", "a.yml", "notes.txt", ".c.yaml"):
        (folder / name).write_text(job_file().read_text())
    ended = kbd("submit", folder)
    assert (ended.code, ended.out) == (0, "a\nb\n"), ended.err
    assert inbox(spool) == ["a.yml", "b.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--id", "x", "a.yaml"], "has no file name of its own"),
        (["--id", "x y", "-"], "beginning with a letter or digit"),
        (["-", "-"], "give - once"),
        (["--ref", "a.yaml", "folder"], "the module of a candidate"),
        (["folder"], "holds no job"),
    ],
)
def test_what_cannot_be_meant(kbd, job_file, tmp_path, monkeypatch, arguments, said):
    job_file("a.yaml")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    ended = kbd("submit", *arguments)
    assert ended.code == ExitCode.USAGE
    assert said in " ".join(ended.err.replace("│", " ").split())


def test_a_job_folder_without_its_ending_is_told_how_to_be_called(kbd, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "job.yaml").write_text("{}")
    monkeypatch.chdir(tmp_path)
    ended = kbd("submit", "mine")
    assert ended.code == ExitCode.USAGE
    assert "mine.job" in ended.err
