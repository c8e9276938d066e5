"""Compilers are found, and asked again when they have changed."""

import os

import pytest

from kbd.backends.build_tools import find_cxx, find_ninja, find_nvcc, nvcc_release, tool_versions


@pytest.fixture
def tools(tmp_path):
    """A folder of pretended tools."""

    def add(name, says, status=0):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
        path.chmod(0o755)
        return path

    return add


def test_on_the_path(tools, tmp_path):
    nvcc, cxx, ninja = tools("nvcc", "release 1"), tools("c++", "gcc 1"), tools("ninja", "1.11")
    environment = {"PATH": str(tmp_path / "bin")}
    assert (find_nvcc(environment), find_cxx(environment), find_ninja(environment)) == (
        str(nvcc),
        str(cxx),
        str(ninja),
    )


def test_cuda_home_decides(tools, tmp_path):
    nvcc = tools("nvcc", "x")
    assert find_nvcc({"CUDA_HOME": str(tmp_path), "PATH": ""}) == str(nvcc)
    assert find_nvcc({"CUDA_PATH": str(tmp_path / "nothing"), "PATH": str(tmp_path / "bin")}) is None


def test_cxx_decides(tools, tmp_path):
    clang = tools("clang++", "x")
    assert find_cxx({"CXX": "clang++", "PATH": str(tmp_path / "bin")}) == str(clang)


def test_an_upgrade_is_noticed(tools, tmp_path):
    environment = {"PATH": str(tmp_path / "bin"), "CUDA_HOME": str(tmp_path)}
    tools("nvcc", "release 12.9")
    first = tool_versions(environment)
    assert "release 12.9" in first["nvcc"]
    assert first["cxx"] is None
    os.utime(tools("nvcc", "release 13.0"), (1, 1))
    assert "release 13.0" in tool_versions(environment)["nvcc"]


@pytest.mark.parametrize(
    ("said", "release"),
    [
        ("nvcc: NVIDIA (R)\nCuda compilation tools, release 13.0, V13.0.88\n", "13.0"),
        ("nonsense", None),
        (None, None),
    ],
)
def test_the_release_of_nvcc(said, release):
    assert nvcc_release({"nvcc": said}) == release


def test_a_tool_that_does_not_answer(tools, tmp_path):
    tools("nvcc", "no", status=1)
    assert tool_versions({"PATH": "", "CUDA_HOME": str(tmp_path)})["nvcc"] is None
