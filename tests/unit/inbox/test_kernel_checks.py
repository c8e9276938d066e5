import pytest

from kbd.inbox.contract import IOContract
from kbd.inbox.kernel_checks import is_bare_triton, kernel_problems
from kbd.inbox.kernel_code import KernelCode
from kbd.inbox.validation import validate

ONE = "__global__ void one(float* y) {}"
TWO = ONE + "\n__global__ void two(float* y) {}"
SHARED = "__global__ void one(float* y) { extern __shared__ float s[]; }"
JIT = "@triton.jit\ndef one(y): pass\n"
JIT_TWO = JIT + "@triton.jit\ndef two(y): pass\n"
MODULE = JIT_TWO + "class ModelNew: pass\n"

OUTPUT = {"name": "y", "type": "tensor", "role": "output", "tensor_spec": {"shape": [2]}}
INPUT = {**OUTPUT, "role": "input"}
LAUNCH = {"grid": 1, "block": 32}


def problems(kernel_type, source, io=None, **metadata):
    kernel = KernelCode(kernel_type=kernel_type, source_code=source, metadata=metadata)
    contract = None if io is None else validate(IOContract, io)
    return [problem.pointer for problem in kernel_problems(kernel, contract, "/candidate", "/io")]


@pytest.mark.parametrize(
    ("kernel_type", "source", "launch", "metadata", "pointers"),
    [
        ("cuda", ONE, LAUNCH, {}, []),
        ("cuda", TWO, LAUNCH, {}, ["/candidate/metadata/kernel_name"]),
        ("cuda", TWO, LAUNCH, {"kernel_name": "two"}, []),
        ("cuda", TWO, LAUNCH, {"name_expressions": ["two<float>"]}, []),
        ("cuda", "int main() {}", LAUNCH, {}, ["/candidate/source_code"]),
        ("cuda", ONE, {"grid": 1}, {}, ["/io/launch/block"]),
        ("cuda", ONE, None, {}, ["/io/launch/grid", "/io/launch/block"]),
        ("cuda", ONE, {**LAUNCH, "grid": "N", "tuned": ["N"]}, {}, ["/io/launch/tuned"]),
        ("cuda", SHARED, LAUNCH, {}, ["/io/launch/shared_mem_bytes"]),
        ("cuda", SHARED, {**LAUNCH, "shared_mem_bytes": 1024}, {}, []),
        ("cuda", SHARED, {**LAUNCH, "shared_mem_bytes": 0}, {}, []),
        ("triton", JIT, {"grid": 1}, {}, []),
        ("triton", JIT, {"grid": "N", "tuned": ["N"]}, {}, []),
        ("triton", JIT_TWO, {"grid": 1}, {}, ["/candidate/metadata/kernel_name"]),
        ("triton", JIT_TWO, {"grid": 1}, {"kernel_name": "one"}, []),
        ("triton", JIT, {"num_warps": 4}, {}, ["/io/launch/grid"]),
        ("triton", "x = 1", {"grid": 1}, {}, ["/candidate/source_code"]),
        ("triton", MODULE, None, {}, []),
        ("torch", "x = 1", None, {}, []),
        ("my_plugin", TWO, None, {}, []),
    ],
)
def test_kernels_and_contracts(kernel_type, source, launch, metadata, pointers):
    io = {"args": [OUTPUT]} | ({} if launch is None else {"launch": launch})
    assert problems(kernel_type, source, io, **metadata) == pointers


@pytest.mark.parametrize(("kernel_type", "source"), [("cuda", ONE), ("triton", JIT)])
def test_bare_kernels_need_a_contract_with_an_output(kernel_type, source):
    assert problems(kernel_type, source) == ["/io"]
    assert problems(kernel_type, source, {"args": [INPUT], "launch": LAUNCH}) == ["/io/args"]


def test_a_module_with_an_entry_launches_by_itself():
    contract = validate(IOContract, {"args": [OUTPUT]})
    launched = validate(IOContract, {"args": [OUTPUT], "launch": {"grid": 1}})
    module = KernelCode(kernel_type="triton", source_code=MODULE)
    assert not is_bare_triton(module, None)
    assert not is_bare_triton(module, contract)
    assert is_bare_triton(module, launched)
    assert is_bare_triton(KernelCode(kernel_type="triton", source_code=JIT), None)


def test_the_message_names_the_kernels():
    kernel = KernelCode(kernel_type="cuda", source_code=TWO)
    contract = validate(IOContract, {"args": [OUTPUT], "launch": LAUNCH})
    (problem,) = kernel_problems(kernel, contract, "/candidate", "/io")
    assert problem.expected == "one of one, two"
