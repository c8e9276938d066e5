"""What changes the name of a compiled kernel, and what does not."""

import pytest

from kbd.backends.artifact_key import artifact_key, recipe
from kbd.backends.base import CompileRequest, Target
from kbd.inbox.contract import IOContract
from kbd.inbox.kernel_code import CompileOptions, KernelCode
from kbd.inbox.validation import validate

KERNEL = KernelCode(kernel_type="triton", source_code="__global__ void f() {}", metadata={"kernel_name": "f"})
VERSIONS = {"torch": "2.6", "nvcc": "13.0", "triton": None}
SM_90 = Target("cuda", "sm_90")


def contract(n=4, dtype="float32", seed=1, value=2, kind="int"):
    spec = {"shape": [n], "dtype": dtype, "init": {"kind": "randn", "seed": seed}}
    args = [
        {"name": "x", "type": "tensor", "tensor_spec": spec},
        {"name": "k", "type": kind, "value": value},
    ]
    return validate(IOContract, {"args": args}).bind({})


def key(kernel=KERNEL, target=SM_90, contracts=(), versions=VERSIONS):
    return artifact_key(CompileRequest(kernel, target, contracts), versions)


def changed(**fields):
    return KernelCode(**dict(KERNEL) | fields)


def test_it_is_a_file_name():
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")
    assert key() == key()


@pytest.mark.parametrize(
    "other",
    [
        {"kernel": changed(source_code="__global__ void f() { }")},
        {"kernel": changed(kernel_type="torch_cuda", metadata={})},
        {"kernel": changed(metadata={"kernel_name": "g"})},
        {"kernel": changed(compile_options=CompileOptions(cuda_cflags=("-O3",)))},
        {"kernel": changed(compile_options=CompileOptions(cflags=("-O3",)))},
        {"target": Target("cuda", "sm_80")},
        {"target": Target("cpu")},
        {"versions": VERSIONS | {"nvcc": "13.1"}},
        {"versions": VERSIONS | {"triton": "3.2"}},
        {"contracts": (contract(),)},
    ],
)
def test_what_makes_another_kernel(other):
    assert key(**other) != key()


@pytest.mark.parametrize(
    "other",
    [
        {"n": 5},
        {"dtype": "float16"},
        {"value": 3},
        {"value": 2.0, "kind": "float"},
        {"value": True, "kind": "bool"},
    ],
)
def test_what_of_a_contract_a_compiler_sees(other):
    assert key(contracts=(contract(**other),)) != key(contracts=(contract(),))


def test_what_of_a_contract_no_compiler_sees():
    assert key(contracts=(contract(seed=7),)) == key(contracts=(contract(seed=1),))


def test_the_recipe_is_how_this_version_compiles():
    assert recipe("cuda") == recipe("torch_cuda")
    assert len(recipe("cuda")) == 64


def test_a_plug_in_is_known_by_its_version(monkeypatch):
    class Distribution:
        name, version = "kbd-halide", "1.2"

    class Point:
        name, value, dist = "halide", "kbd_halide:BACKEND", Distribution

    monkeypatch.setattr("kbd.backends.artifact_key.entry_points", lambda group: [Point])
    assert recipe("halide") == "kbd_halide:BACKEND kbd-halide 1.2"
    recipe.cache_clear()
