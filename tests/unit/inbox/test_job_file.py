import hashlib
import json
import os
from pathlib import Path

import pytest

from kbd.inbox.errors import InvalidJob, TruncatedDocument, UnsafeFile
from kbd.inbox.job_file import ReadLimits, job_id_of, read_job

JOB = "candidate:\n  kernel_type: torch\n  source_code: |\n    def f(x): return x\n"


@pytest.fixture
def job_folder(tmp_path):
    folder = tmp_path / "pair.job"
    folder.mkdir()
    (folder / "reference.py").write_text("class Model: ...\ndef get_inputs(): ...\n")
    (folder / "candidate.py").write_text("class ModelNew: ...\n")
    return folder


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_a_yaml_file(tmp_path, suffix):
    path = tmp_path / f"softmax-v7{suffix}"
    path.write_text(JOB)
    job = read_job(path)
    assert (job.job_id, job.manifest.id) == ("softmax-v7", "softmax-v7")
    assert job.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (job.document_path, job.folder, job.side_files) == (path, None, ())


def test_a_json_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"candidate": {"kernel_type": "torch", "source_code": "x"}}))
    assert read_job(path).manifest.candidate.source_code == "x"


def test_the_id_of_the_manifest_wins(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("id: b\n" + JOB)
    assert read_job(path).job_id == "b"


def test_problems_come_with_lines(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(JOB + "timeout: soon\nextra:\n  - 1\n")
    with pytest.raises(InvalidJob) as caught:
        read_job(path)
    assert [(problem.pointer, problem.line) for problem in caught.value.problems] == [
        ("/timeout", 5),
        ("/extra", 6),
    ]


def test_a_file_that_ends_too_early(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"candidate": {')
    with pytest.raises(TruncatedDocument):
        read_job(path)


@pytest.mark.parametrize("text", ["[1]", "1", "text", "null"])
def test_a_document_that_is_no_mapping(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InvalidJob, match="a job is a mapping"):
        read_job(path)


def test_a_folder_with_a_manifest(job_folder):
    (job_folder / "job.yaml").write_text(
        "reference: {kernel_type: torch, source_file: reference.py}\n"
        "candidate: {kernel_type: torch, source_file: candidate.py}\n"
        "io:\n  args:\n"
        "  - {name: x, type: tensor, tensor_spec: {shape: [2], data: {file: x.npy}}}\n"
        "  - {name: w, type: tensor, tensor_spec: {shape: [2], data: {file: w.safetensors#w}}}\n"
    )
    (job_folder / "x.npy").write_bytes(b"x")
    (job_folder / "w.safetensors").write_bytes(b"w")
    job = read_job(job_folder)
    assert job.job_id == "pair"
    assert job.manifest.candidate.source_code == "class ModelNew: ...\n"
    assert job.document_path == job_folder / "job.yaml"
    assert job.folder == job_folder
    names = ["candidate.py", "job.yaml", "reference.py", "w.safetensors", "x.npy"]
    assert [side.name for side in job.side_files] == [name for name in names if name != "job.yaml"]
    lines = "".join(
        f"{hashlib.sha256((job_folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    )
    assert job.sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_the_digest_covers_every_file_that_is_named(job_folder):
    before = read_job(job_folder).sha256
    (job_folder / "notes.txt").write_text("not named")
    assert read_job(job_folder).sha256 == before
    (job_folder / "candidate.py").write_text("class ModelNew: pass\n")
    assert read_job(job_folder).sha256 != before


def test_a_folder_without_a_manifest_may_be_a_pair(job_folder):
    job = read_job(job_folder)
    assert job.document_path == job_folder
    assert job.manifest.reference is not None


@pytest.mark.fault("a folder holds no job")
def test_a_folder_that_is_nothing(tmp_path):
    (tmp_path / "a.job").mkdir()
    with pytest.raises(
        InvalidJob, match=r"expected job.yaml, or reference.py and one candidate.*an empty folder"
    ):
        read_job(tmp_path / "a.job")


def test_a_folder_with_several_manifests(job_folder):
    (job_folder / "job.yaml").write_text(JOB)
    (job_folder / "job.json").write_text("{}")
    with pytest.raises(
        InvalidJob, match=r"several manifests: expected one manifest, found job\.json, job\.yaml"
    ):
        read_job(job_folder)


@pytest.mark.parametrize("name", ["job.yaml", "candidate.py"])
@pytest.mark.fault("a symlink, FIFO or device is delivered")
def test_symlinks_in_a_folder_are_not_followed(job_folder, tmp_path, name):
    (tmp_path / "elsewhere").write_text(JOB)
    (job_folder / name).unlink(missing_ok=True)
    (job_folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises((UnsafeFile, InvalidJob), match="symlink"):
        read_job(job_folder)


def test_what_must_not_be_read(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link.job").symlink_to(tmp_path / "target")
    (tmp_path / "file.job").write_text(JOB)
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "fifo.yaml")
    for name in ("link.job", "file.job", "folder.yaml", "fifo.yaml"):
        with pytest.raises(UnsafeFile):
            read_job(tmp_path / name)


@pytest.mark.fault("a manifest is huge")
def test_a_manifest_is_bounded(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(JOB)
    with pytest.raises(UnsafeFile, match="at most 10 bytes"):
        read_job(path, limits=ReadLimits(manifest_bytes=10))


def test_what_is_gone_is_gone(tmp_path):
    for name in ("a.yaml", "a.job"):
        with pytest.raises(FileNotFoundError):
            read_job(tmp_path / name)


def test_no_descriptor_is_left_open(job_folder, tmp_path):
    read_job(job_folder)
    (tmp_path / "bad.job").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    read_job(job_folder)
    with pytest.raises(InvalidJob):
        read_job(tmp_path / "bad.job")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["a.yaml", "a.yml", "a.json", "a.job"])
def test_the_id_is_the_name(name):
    assert job_id_of(Path("/spool/inbox") / name) == "a"


def test_only_the_last_suffix_goes():
    assert job_id_of(Path("v1.2.yaml")) == "v1.2"
    assert job_id_of(Path("a.job.yaml")) == "a.job"


@pytest.mark.parametrize(
    "name",
    [".yaml", "a b.yaml", "-a.yaml", "a.txt", "a", "ä.yaml", "x" * 129 + ".yaml", os.fsdecode(b"\xff.yaml")],
)
@pytest.mark.fault("a name is no name of a job")
def test_names_that_are_no_id(name):
    with pytest.raises(InvalidJob, match=r"no name for a job: expected NAME\.yaml") as caught:
        job_id_of(Path(name))
    str(caught.value).encode("utf-8")
