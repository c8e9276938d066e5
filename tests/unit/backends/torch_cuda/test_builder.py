"""PyTorch's own build, for real: small extensions on Python's C API, which compile in a second."""

import dataclasses
import os
import tempfile

import pytest
import torch

from kbd.backends.base import CompileFailed, Target
from kbd.backends.build_tools import find_nvcc
from kbd.backends.torch_cuda.builder import (
    BuildFailed,
    BuildOrder,
    CannotBuild,
    PyTorchBuilder,
    arch_list,
    capability,
    why_cannot_build,
)
from kbd.backends.torch_cuda.cpp_extension import real_cpp_extension
from kbd.backends.torch_cuda.extension_call import ExtensionCall, parameters_of
from kbd.backends.torch_cuda.library import load_library
from kbd.inbox.kernel_code import CompileOptions

pytestmark = [
    pytest.mark.skipif(why_cannot_build(needs_cuda=False) is not None, reason="no compiler, or no ninja"),
    pytest.mark.timeout(600),
]

ANSWERS = CompileOptions(cflags=("-DANSWER=42",))
SOURCE = r"""
#include <Python.h>
#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)
static PyObject* answer(PyObject*, PyObject*) { return PyLong_FromLong(ANSWER); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "extension", nullptr, -1, methods};
PyMODINIT_FUNC NAMED(PyInit_, TORCH_EXTENSION_NAME)() { return PyModule_Create(&definition); }
"""


@pytest.fixture
def order(tmp_path, monkeypatch):
    """Orders of a module that holds SOURCE as a literal in its line 3."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    module = tmp_path / "kbd_kernel.py"
    module.write_text(f'import torch\n\nsource = r"""{SOURCE}"""\n')

    def make(name="extension", options=ANSWERS, source=SOURCE, **arguments):
        parameters = parameters_of(real_cpp_extension().load_inline)
        given = {"name": name, "cpp_sources": source, "no_implicit_headers": True} | arguments
        call = ExtensionCall.of("load_inline", parameters, (), given)
        return BuildOrder(call, Target("cpu"), options, module)

    return make


def answer_of(library):
    return load_library(library, is_python_module=True).answer()


def test_a_library_that_can_be_imported(order, monkeypatch):
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "7.0")
    library = PyTorchBuilder().build(order())
    assert library.stem == "extension"
    assert answer_of(library) == 42
    assert os.environ["TORCH_CUDA_ARCH_LIST"] == "7.0"


def test_flags_of_the_call_and_of_the_job(order):
    made = order("flags", CompileOptions(cflags=("-DHALF=21",)), extra_cflags=["-DANSWER=HALF+21"])
    assert answer_of(PyTorchBuilder().build(made)) == 42
    assert made.call.arguments["extra_cflags"] == ["-DANSWER=HALF+21"]


def test_a_build_that_was_killed_does_not_stop_the_next(order, tmp_path):
    made = order("killed")
    left = tmp_path / "tmp" / "torch_cuda" / made.call.key()[:16]
    left.mkdir(parents=True)
    (left / "lock").touch()  # PyTorch waits for ever while this exists
    (left / "main.o").write_bytes(b"half an object")
    assert answer_of(PyTorchBuilder().build(made)) == 42


def test_an_error_names_the_line_of_the_module(order):
    line = 3 + SOURCE[: SOURCE.index("ANSWER")].count("\n")
    with pytest.raises(BuildFailed, match=f"^extension broken: line {line}: ") as failed:
        PyTorchBuilder().build(order("broken", CompileOptions()))
    assert isinstance(failed.value, RuntimeError)
    assert isinstance(failed.value, CompileFailed)
    assert f"kbd_kernel.py:{line}:" in failed.value.output
    assert "return PyLong_FromLong(ANSWER)" in failed.value.output


def test_an_error_in_a_text_that_was_put_together(order):
    with pytest.raises(BuildFailed, match=r"^extension put: cpp_sources\[0\] line 1: "):
        PyTorchBuilder().build(order("put", source="no such thing;"))


def test_a_library_that_is_not_there(order):
    with pytest.raises(BuildFailed, match="cannot find -lno_such_library"):
        PyTorchBuilder().build(order("linked", extra_ldflags=["-lno_such_library"]))


@pytest.mark.parametrize(
    ("arch", "listed", "number"),
    [
        ("sm_90", "9.0", (9, 0)),
        ("sm_90a", "9.0a", (9, 0)),
        ("sm_120", "12.0", (12, 0)),
        ("sm_86", "8.6", (8, 6)),
    ],
)
def test_architectures(arch, listed, number):
    assert (arch_list(arch), capability(arch)) == (listed, number)


DEVICE_CODE = "__global__ void add(float* x) { x[threadIdx.x] += 1; }\n"
WITHOUT_CUDA = pytest.mark.skipif(
    torch.version.cuda is not None or find_nvcc() is None, reason="needs nvcc and a PyTorch without CUDA"
)


@WITHOUT_CUDA
@pytest.mark.parametrize(
    ("cuda", "error"),
    [
        (DEVICE_CODE, CannotBuild),
        (DEVICE_CODE + "__global__ void f(float* x) { __reduce_add_sync(~0u, 1); }", CannotBuild),
        ("#include <no/such/header.h>\n" + DEVICE_CODE + "missing;", CannotBuild),
        ("#include <cub_of_another_toolkit.cuh>\n" + DEVICE_CODE, CannotBuild),
        (DEVICE_CODE.replace("+= 1", "+= nothing"), BuildFailed),
    ],
    ids=["right", "newer intrinsic", "missing header", "other toolkit", "wrong"],
)
def test_device_code_that_cannot_be_built_is_read(order, cuda, error):
    with pytest.raises(error) as failed:
        PyTorchBuilder().build(order("device", cpp_sources="", cuda_sources=cuda))
    if error is CannotBuild:
        assert "built for the CPU" in str(failed.value)
        return
    assert str(failed.value).startswith("extension device: cuda_sources[0] line 1: ")
    assert "nothing" in str(failed.value)
    assert "nothing" in failed.value.output


@WITHOUT_CUDA
def test_an_error_in_device_code_names_the_line_of_the_module(order, tmp_path):
    cuda = "\n\n" + DEVICE_CODE.replace("+= 1", "+= nothing")
    (tmp_path / "kbd_kernel.py").write_text(f'import torch\n\nsource = """{cuda}"""\n')
    with pytest.raises(BuildFailed, match=r"^extension device: line 5: .*nothing"):
        PyTorchBuilder().build(order("device", cpp_sources="", cuda_sources=cuda))


@WITHOUT_CUDA
def test_files_of_device_code_are_read(order, tmp_path):
    (tmp_path / "kernel.cu").write_text("\n" + DEVICE_CODE.replace("+= 1", "+= NOTHING"))
    parameters = parameters_of(real_cpp_extension().load)
    for flags, error in ([], BuildFailed), (["-DNOTHING=1"], CannotBuild):
        given = {"name": "files", "sources": [str(tmp_path / "kernel.cu")], "extra_cuda_cflags": flags}
        made = dataclasses.replace(order(), call=ExtensionCall.of("load", parameters, (), given))
        with pytest.raises(error, match="line 2: .*NOTHING" if error is BuildFailed else "built for the CPU"):
            PyTorchBuilder().build(made)


@WITHOUT_CUDA
def test_without_nvcc_nothing_is_read(order, monkeypatch):
    monkeypatch.setattr("kbd.backends.torch_cuda.builder.find_nvcc", lambda: None)
    with pytest.raises(CannotBuild, match="built for the CPU"):
        PyTorchBuilder().build(order("device", cpp_sources="", cuda_sources="nothing at all"))


def test_why_not_with_cuda(monkeypatch):
    if torch.version.cuda is None:
        assert "built for the CPU" in why_cannot_build(needs_cuda=True)
    monkeypatch.setattr("kbd.backends.torch_cuda.builder.torch_cuda_version", lambda: "13.0")
    monkeypatch.setattr("kbd.backends.torch_cuda.builder.find_nvcc", lambda: None)
    assert "nvcc" in why_cannot_build(needs_cuda=True)
    assert why_cannot_build(needs_cuda=False) is None
