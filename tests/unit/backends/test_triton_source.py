"""What a Triton source says about its kernels, and which parameter each argument of a contract goes to."""

import pytest

from kbd.backends.base import CompileFailed
from kbd.backends.triton_source import chosen_kernel
from kbd.inbox.contract import IOContract
from kbd.inbox.manifest import KernelCode
from kbd.inbox.validation import validate

TENSOR = {"type": "tensor", "tensor_spec": {"shape": [4], "dtype": "float32"}}


def contract(*args):
    """A contract of tensors (`x`), ints (`n:`) and meta arguments (`B=`)."""
    kinds = {":": {"type": "int", "value": 1}, "=": {"type": "int", "value": 1, "is_meta": True}}
    specs = [{"name": arg.rstrip(":="), **kinds.get(arg[-1], TENSOR)} for arg in args]
    return validate(IOContract, {"args": specs}).bind({})


def kernel(parameters, decorators="@triton.jit", **metadata):
    source = f"{decorators}\ndef add({parameters}):\n    pass\n"
    return KernelCode(kernel_type="triton", source_code=source, metadata=metadata)


@pytest.mark.parametrize(
    ("parameters", "args", "places"),
    [
        ("x, y, n, B: tl.constexpr", ("x", "y", "n:", "B="), ["x", "y", "n", "B"]),
        ("a_ptr, b_ptr, n, B: tl.constexpr", ("x", "y", "n:", "BLOCK="), ["a_ptr", "b_ptr", "n", "B"]),
        ("B: tl.constexpr, x, n", ("x", "n:", "B="), ["x", "n", "B"]),
        ("x, n, B: 'tl.constexpr'", ("x", "n:", "B:"), ["x", "n", "B"]),
        ("x, n=4", ("x",), ["x"]),
        ("x, n, B: tl.constexpr = 8", ("x", "n:"), ["x", "n"]),
    ],
)
def test_arguments_go_by_position_and_constants_by_name(parameters, args, places):
    assert chosen_kernel(kernel(parameters)).places(contract(*args)) == places


@pytest.mark.parametrize(
    "decorators", ["@triton.autotune(configs=[], key=[])\n@triton.jit", "@triton.heuristics({})\n@jit()"]
)
def test_what_autotune_and_heuristics_choose_can_be_left_out(decorators):
    found = chosen_kernel(kernel("x, B: tl.constexpr, n", decorators))
    assert found.places(contract("x", "n:")) == ["x", "n"]


@pytest.mark.parametrize(
    ("parameters", "args"),
    [
        ("x, y, n", ("x", "n:")),
        ("x", ("x", "n:")),
        ("x, B: tl.constexpr", ("x",)),
        ("", ("x",)),
        ("x, B: tl.constexpr", ("x", "n:", "B=")),
    ],
)
def test_arguments_that_do_not_fit(parameters, args):
    with pytest.raises(
        CompileFailed, match=r"line 2: add\(.*does not take the contract's arguments \(x"
    ) as error:
        chosen_kernel(kernel(parameters)).places(contract(*args))
    assert "is_meta" in error.value.hint


def test_the_only_kernel_that_nobody_calls_is_chosen():
    source = "@triton.jit\ndef helper(x):\n    pass\n@triton.jit\ndef main(x):\n    helper(x)\n"
    assert chosen_kernel(KernelCode(kernel_type="triton", source_code=source)).name == "main"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [({}, "found a, b"), ({"kernel_name": "c"}, "names 'c'.*it defines a, b")],
)
def test_a_kernel_that_cannot_be_chosen(metadata, message):
    source = "@triton.jit\ndef a(x):\n    pass\n@triton.jit\ndef b(x):\n    pass\n"
    with pytest.raises(CompileFailed, match=message):
        chosen_kernel(KernelCode(kernel_type="triton", source_code=source, metadata=metadata))
