import os
from pathlib import Path

import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.folder_files import FolderFiles, ReadLimits
from kbd.inbox.formats.kernelbench import guessed_type, is_pair, pair_document, read_kernelbench
from kbd.inbox.manifest import JobManifest

GOLDEN = Path(__file__).parent / "golden" / "kernelbench.json"
REFERENCE = "class Model: pass\ndef get_inputs(): return []\ndef get_init_inputs(): return []\n"
TRITON = "import triton\n@triton.jit\ndef k(x): pass\nclass ModelNew: pass\n"


def pair(reference=REFERENCE, candidate=TRITON, **fields):
    return {"reference": {"source_code": reference}, "candidate": {"source_code": candidate}, **fields}


def read(document, folder=None):
    return read_kernelbench(document, default_id="a", folder=folder)


def test_a_pair_reads_as_recorded(tmp_path):
    (tmp_path / "reference.py").write_text(REFERENCE)
    (tmp_path / "candidate.py").write_text(TRITON)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        folder = FolderFiles(descriptor, ReadLimits())
        manifest = read(pair_document(folder.names()), folder)
    finally:
        os.close(descriptor)
    assert manifest == JobManifest.model_validate_json(GOLDEN.read_text())


def test_other_fields_of_the_manifest_are_kept():
    manifest = read(pair(id="b", timeout=5, labels={"level": "1"}))
    assert (manifest.id, manifest.timeout, manifest.labels) == ("b", 5.0, {"level": "1"})


@pytest.mark.parametrize(
    ("source", "kernel_type"),
    [
        ("class ModelNew: pass", "torch"),
        (TRITON, "triton"),
        ("from torch.utils.cpp_extension import load\nclass ModelNew: pass", "torch_cuda"),
        ("x = load_inline(name='a')\n" + TRITON, "torch_cuda"),
    ],
)
def test_the_type_of_the_candidate_is_seen_in_its_text(source, kernel_type):
    assert guessed_type(source) == kernel_type
    assert read(pair(candidate=source)).candidate.kernel_type == kernel_type


@pytest.mark.parametrize(
    ("document", "pointer", "text"),
    [
        (pair(reference="def get_inputs(): pass"), "/reference", "expected class Model"),
        (pair(reference="class Model: pass"), "/reference", "nothing makes the inputs"),
        (pair(candidate="def f(): pass"), "/candidate", "expected class ModelNew"),
        (pair(timeout="x"), "/timeout", "a number"),
        ({"reference": {}, "candidate": {"source_code": TRITON}}, "/reference/source_code", "missing"),
        (
            {"reference": {"source_code": REFERENCE}, "candidate": {"source_file": "k.py"}},
            "/candidate/source_file",
            "self-contained",
        ),
    ],
)
def test_mistakes(document, pointer, text):
    with pytest.raises(InvalidJob) as caught:
        read(document)
    found = {problem.pointer: str(problem) for problem in caught.value.problems}
    assert text in found[pointer]


def test_a_contract_may_make_the_inputs():
    io = {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [2]}}]}
    assert read(pair(reference="class Model: pass", io=io)).io is not None


@pytest.mark.parametrize(
    ("names", "candidate"),
    [
        (["candidate.py", "reference.py"], "candidate.py"),
        (["README.md", "anything.py", "reference.py"], "anything.py"),
        (["kernel.py", "reference.py", "test_it.py"], "kernel.py"),
    ],
)
def test_which_file_is_the_candidate(names, candidate):
    assert pair_document(names)["candidate"] == {"source_file": candidate}


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["reference.py"],
        ["candidate.py"],
        ["a.py", "b.py", "reference.py"],
        ["candidate.py", "kernel.py", "reference.py"],
    ],
)
def test_folders_in_which_it_is_not_clear(names):
    with pytest.raises(InvalidJob, match=r"add a job\.yaml that names the files"):
        pair_document(names)


def test_a_pair_leaves_both_types_open():
    assert is_pair(pair())
    assert not is_pair({"candidate": {"source_code": "x"}})
    assert not is_pair({"reference": {"kernel_type": "torch"}, "candidate": {}})
    assert not is_pair({"reference": [], "candidate": {}})
