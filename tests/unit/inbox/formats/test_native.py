import os
from pathlib import Path

import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.folder_files import FolderFiles, ReadLimits
from kbd.inbox.formats.native import read_native
from kbd.inbox.manifest import JobManifest
from kbd.inbox.safe_load import load_yaml

HERE = Path(__file__).parent
TORCH = {"kernel_type": "torch", "source_code": "def f(x): return x"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "kernel.py").write_text("def f(x): return x")
    (tmp_path / "x.npy").write_bytes(b"x")
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield FolderFiles(descriptor, ReadLimits())
    os.close(descriptor)


def problems(document, folder=None):
    with pytest.raises(InvalidJob) as caught:
        read_native(document, default_id="a", folder=folder)
    return [(problem.pointer, str(problem)) for problem in caught.value.problems]


def test_a_full_manifest_reads_as_recorded():
    document = load_yaml((HERE / "native.yaml").read_text())
    manifest = read_native(document, default_id="file-name", folder=None)
    golden = (HERE / "golden" / "native.json").read_text()
    assert manifest == JobManifest.model_validate_json(golden)
    assert manifest.id == "softmax-v7"


def test_the_name_of_the_file_is_the_id_unless_given():
    assert read_native({"candidate": TORCH}, default_id="name", folder=None).id == "name"


def test_source_files_are_read_into_the_manifest(folder):
    document = {"candidate": {"kernel_type": "torch", "source_file": "kernel.py"}}
    assert read_native(document, default_id="a", folder=folder).candidate.source_code == "def f(x): return x"


@pytest.mark.parametrize(
    ("kernel", "pointer", "text"),
    [
        ({"source_file": "kernal.py"}, "/candidate/source_file", "did you mean kernel.py?"),
        ({"source_file": "nothing.alike"}, "/candidate/source_file", "put it into the folder"),
        ({"source_file": "../kernel.py"}, "/candidate/source_file", "leaves the job's folder"),
        ({"source_file": "/etc/passwd"}, "/candidate/source_file", "leaves the job's folder"),
        ({"source_file": 5}, "/candidate/source_file", "the name of a file"),
        (
            {"source_file": "kernel.py", "source_code": "x"},
            "/candidate/source_file",
            "both; remove one of them",
        ),
        ({"source_code": "x", "io": {"args": []}}, "/candidate/io", "move it to io"),
        ({"source_code": "x", "source": "y"}, "/candidate/source", "unknown field"),
    ],
)
def test_mistakes_about_sources(folder, kernel, pointer, text):
    ((found, message),) = problems({"candidate": {"kernel_type": "torch", **kernel}}, folder)
    assert found == pointer
    assert text in message


def test_a_single_file_has_no_files_beside_it():
    ((pointer, message),) = problems({"candidate": {"kernel_type": "torch", "source_file": "kernel.py"}})
    assert pointer == "/candidate/source_file"
    assert "deliver a folder NAME.job" in message


def contract(file):
    return {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [2], "data": {"file": file}}}]}


def test_data_files_are_read_through(folder):
    manifest = read_native({"candidate": TORCH, "io": contract("x.npy")}, default_id="a", folder=folder)
    assert manifest.io is not None
    assert manifest.io.args[0].tensor_spec.data.file == "x.npy"
    assert [side.name for side in folder.side_files] == ["x.npy"]


@pytest.mark.parametrize(
    ("file", "text"), [("y.npy", "did you mean x.npy?"), ("../x.npy", "leaves the job's folder")]
)
def test_mistakes_about_data_files(folder, file, text):
    ((pointer, message),) = problems({"candidate": TORCH, "io": contract(file)}, folder)
    assert pointer == "/io/args/0/tensor_spec/data/file"
    assert text in message


def test_a_single_file_has_no_data_files():
    ((_, message),) = problems({"candidate": TORCH, "io": contract("x.npy")})
    assert "use data_b64" in message


def test_mistakes_about_files_and_fields_are_named_at_once(folder):
    found = problems({"candidate": {"source_file": "gone.py"}, "timeout": -1}, folder)
    assert [pointer for pointer, _ in found] == [
        "/candidate/source_file",
        "/candidate/kernel_type",
        "/timeout",
    ]
