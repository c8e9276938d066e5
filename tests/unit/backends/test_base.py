"""Artifacts survive being written and read; what bare kernels have in common."""

import shutil

import pytest

from kbd.backends.base import ARTIFACT_FILE, Artifact, BareExecutable, LoadFailed
from kbd.inbox.contract import IOContract
from kbd.inbox.validation import validate


def test_an_artifact_is_read_where_its_folder_has_been_copied_to(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    (made / "kernel.cubin").write_bytes(b"binary")
    written = Artifact("cuda", made, "add", {"registers": 12, "names": ["a"]})
    written.write()
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    read = Artifact.read(copy)
    assert read == Artifact("cuda", copy, "add", {"registers": 12, "names": ["a"]})
    assert (read.folder / "kernel.cubin").read_bytes() == b"binary"


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"kernel_type": "cuda"}'])
def test_a_folder_without_an_artifact(tmp_path, text):
    if text is not None:
        (tmp_path / ARTIFACT_FILE).write_text(text)
    with pytest.raises(ValueError, match="holds no artifact"):
        Artifact.read(tmp_path)


def test_properties_that_are_no_json_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        Artifact("cuda", tmp_path, None, {"speed": float("nan")}).write()


def test_a_bare_kernel_knows_its_contract_once_it_is_bound():
    executable = BareExecutable()
    with pytest.raises(LoadFailed, match="called by a contract"):
        _ = executable.contract
    contract = validate(IOContract, {"args": []}).bind({})
    executable.bind(contract)
    assert executable.contract is contract
    assert not executable.makes_inputs
    with pytest.raises(LoadFailed, match="no get_inputs"):
        executable.make_inputs(1)
