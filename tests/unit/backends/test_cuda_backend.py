"""CUDA C++ is compiled here without a device: symbols, resources, messages; and refused where it cannot run."""

import pytest
import torch

from kbd.backends import cuda_compiler
from kbd.backends.base import Artifact, CompileFailed, CompileRequest, LoadContext, Target, Unsupported
from kbd.backends.build_tools import find_nvcc
from kbd.backends.cuda_backend import BACKEND
from kbd.backends.cuda_compiler import BINARY
from kbd.backends.cuda_symbols import base_name, symbol_of, wanted_name
from kbd.backends.launches import readable
from kbd.backends.nvrtc import why_no_nvrtc
from kbd.inbox.contract import IOContract
from kbd.inbox.manifest import KernelCode
from kbd.inbox.validation import validate

H100 = Target("cuda", "sm_90")
ADD = "__global__ void add(float* x, int n) {\n    x[threadIdx.x] += n;\n}\n"
SCALE = "template <typename T, int N>\n__global__ void scale(T* x, int n) {\n    x[threadIdx.x] = n * N;\n}\n"
COMPILERS = [
    pytest.param("nvcc", marks=pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not installed")),
    pytest.param("nvrtc", marks=pytest.mark.skipif(why_no_nvrtc() is not None, reason=f"{why_no_nvrtc()}")),
]
CONTRACT = validate(
    IOContract,
    {
        "args": [
            {
                "name": "x",
                "type": "tensor",
                "role": "inout",
                "tensor_spec": {"shape": [32], "dtype": "float32"},
            },
            {"name": "n", "type": "int", "value": 3},
        ],
        "launch": {"grid": 1, "block": 32},
    },
).bind({})


def kernel(source, **metadata):
    return KernelCode(kernel_type="cuda", source_code=source, metadata=metadata)


@pytest.fixture(params=COMPILERS)
def compile_(request, tmp_path):
    def run(source, options=None, **metadata):
        code = kernel(source, backend=request.param, **metadata)
        if options:
            code = code.model_copy(
                update={"compile_options": code.compile_options.model_copy(update=options)}
            )
        return BACKEND.compile(CompileRequest(code, H100, (CONTRACT,)), tmp_path)

    return run


def test_a_kernel_is_compiled_without_a_device(compile_):
    artifact = compile_(ADD)
    artifact.write()
    assert Artifact.read(artifact.folder) == artifact
    assert artifact.entry == "_Z3addPfi"
    assert (artifact.folder / BINARY).read_bytes().startswith(b"\x7fELF")
    (figures,) = [artifact.properties["resources"]["add(float*, int)"]]
    assert figures["registers"] > 0
    assert (figures["shared_bytes"], figures["spills"]) == (0, 0)


def test_static_shared_memory_is_told(compile_):
    artifact = compile_(
        'extern "C" __global__ void add(float* x, int n) {\n    __shared__ float s[64];\n'
        "    s[threadIdx.x] = x[n];\n    __syncthreads();\n    x[0] = s[63 - threadIdx.x];\n}\n"
    )
    assert artifact.entry == "add"
    assert artifact.properties["resources"]["add"]["shared_bytes"] == 256


def test_an_instance_of_a_template(compile_):
    artifact = compile_(SCALE, name_expressions=["scale<float, 3>"])
    assert readable(artifact.entry) == "void scale<float, 3>(float*, int)"


def test_one_of_several_instances(compile_):
    both = ["scale<float,3>", "scale<float,4>"]
    assert "4" in readable(compile_(SCALE, name_expressions=both, kernel_name="scale<float, 4>").entry)
    with pytest.raises(CompileFailed, match="names 2 instances of a template"):
        compile_(SCALE, name_expressions=both, kernel_name="scale")


def test_options_of_the_user_reach_the_compiler(compile_):
    source = ADD.replace("+= n", "+= n + SHIFT")
    with pytest.raises(CompileFailed, match="SHIFT"):
        compile_(source)
    assert compile_(source, compiler_options=["-DSHIFT=1"]).entry
    assert compile_(source, options={"cuda_cflags": ("-DSHIFT=1",)}).entry


@pytest.mark.parametrize(
    ("source", "metadata", "message"),
    [
        (ADD.replace("+= n", "+= m"), {}, 'line 2: identifier "m" is undefined'),
        ("#include <nothing.h>\n" + ADD, {}, "line 1: .*nothing.h"),
        (ADD, {"kernel_name": "sub"}, r"sub is none of the kernels.*add\(float"),
        (SCALE, {}, "scale is none of the kernels that the source compiles to: none"),
        (
            ADD.replace("+= n", "+= n; __shared__ float s[90000]; x[1] = s[n]; s[1] = x[n]"),
            {},
            "too much shared data",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_users_line(compile_, source, metadata, message):
    with pytest.raises(CompileFailed, match=message):
        compile_(source, **metadata)


def test_a_wrong_name_expression_is_blamed(tmp_path):
    if find_nvcc() is None:
        pytest.skip("nvcc is not installed")
    code = kernel(SCALE, name_expressions=["scale<flaot, 3>"], backend="nvcc")
    with pytest.raises(CompileFailed, match=r"metadata\.name_expressions: .*flaot"):
        BACKEND.compile(CompileRequest(code, H100, (CONTRACT,)), tmp_path)


def test_without_a_compiler_the_job_cannot_be_met(monkeypatch, tmp_path):
    monkeypatch.setattr(cuda_compiler, "find_nvcc", lambda: None)
    monkeypatch.setattr(cuda_compiler, "why_no_nvrtc", lambda: "NVRTC is not found")
    with pytest.raises(Unsupported, match="no nvcc, and NVRTC is not found"):
        BACKEND.compile(CompileRequest(kernel(ADD), H100, (CONTRACT,)), tmp_path)
    with pytest.raises(Unsupported, match="nvcc is not found"):
        BACKEND.compile(CompileRequest(kernel(ADD, backend="nvcc"), H100, (CONTRACT,)), tmp_path)
    assert "no nvcc" in BACKEND.why_unavailable(H100)


def test_a_bare_kernel_needs_a_contract(tmp_path):
    with pytest.raises(CompileFailed, match="needs a contract"):
        BACKEND.compile(CompileRequest(kernel(ADD), H100), tmp_path)


def test_it_runs_on_cuda_devices_only(tmp_path):
    assert BACKEND.needs_compiler(kernel(ADD))
    assert "CUDA devices" in BACKEND.why_unavailable(Target("cpu"))
    context = LoadContext(kernel(ADD), "candidate", torch.device("cpu"), (CONTRACT,), 0)
    with pytest.raises(Unsupported, match="was compiled, and cannot be run") as error:
        BACKEND.load(Artifact("cuda", tmp_path, "add"), context)
    assert "CUDA device" in error.value.hint


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "metadata", "name"),
    [
        (ADD, {}, "add"),
        (ADD, {"kernel_name": "sub"}, "sub"),
        (SCALE, {"name_expressions": ["scale<float, 3>"]}, "scale<float, 3>"),
        (SCALE, {"name_expressions": ["scale<float, 3>"], "kernel_name": "scale"}, "scale<float, 3>"),
        (SCALE + ADD, {"name_expressions": ["scale<float, 3>"], "kernel_name": "add"}, "add"),
    ],
)
def test_the_name_that_is_wanted(source, metadata, name):
    assert wanted_name(kernel(source, **metadata)) == name


def test_none_or_several_names():
    with pytest.raises(CompileFailed, match="found add, scale"):
        wanted_name(kernel(ADD + SCALE))


@pytest.mark.parametrize(
    ("wanted", "symbol"),
    [
        ("add", "_Z3addPfi"),
        ("c_name", "c_name"),
        ("my::add", "_ZN2my3addEPf"),
        ("scale<float,3>", "_Z5scaleIfLi3EEvPT_i"),
        ("scale< float , 4 >", "_Z5scaleIfLi4EEvPT_i"),
    ],
)
def test_symbols_are_found_by_the_names_people_write(wanted, symbol):
    symbols = ["c_name", "_Z3addPfi", "_Z5scaleIfLi3EEvPT_i", "_Z5scaleIfLi4EEvPT_i"]
    symbols += ["_ZN2my3addEPf"] if "my" in wanted else []
    assert symbol_of(wanted, symbols, readable) == symbol


def test_base_names():
    assert [base_name(name) for name in ("f", "ns::f<a::b, 3>", " f <int>")] == ["f", "f", "f"]


def test_a_template_for_other_elements_than_the_contract_has(compile_):
    source = "template <typename T>\n__global__ void add(T* x, int n) { x[threadIdx.x] += n; }\n"
    assert compile_(source, name_expressions=["add<float>"]).entry == "_Z3addIfEvPT_i"
    with pytest.raises(CompileFailed, match="expected elements of 8 bytes"):
        compile_(source, name_expressions=["add<double>"])
