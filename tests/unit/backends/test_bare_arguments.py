"""What a bare kernel is called with: everything in the order of the contract, outputs that hold nothing useful."""

import pytest
import torch

from kbd.backends.bare_arguments import allocate, arrange, with_initial_content
from kbd.backends.base import LoadFailed
from kbd.inbox.contract import IOContract
from kbd.inbox.validation import validate

CPU = torch.device("cpu")


def tensor(name, role="input", *, shape=(2, 3), dtype="float32", **spec):
    return {
        "name": name,
        "type": "tensor",
        "role": role,
        "tensor_spec": {"shape": list(shape), "dtype": dtype, **spec},
    }


def bound(*args):
    return validate(IOContract, {"args": list(args)}).bind({})


MIXED = bound(
    tensor("out", "output"),
    {"name": "scale", "type": "float", "value": 2},
    tensor("x"),
    {"name": "B", "type": "int", "value": 64, "is_meta": True},
    tensor("state", "inout"),
    tensor("count", "output", shape=(1,), dtype="int32", init={"kind": "full", "fill_value": 7}),
)


def test_arguments_and_outputs_are_in_the_order_of_the_contract():
    x, state = torch.ones(2, 3), torch.zeros(2, 3)
    found = arrange(MIXED, [2, x, state], [], CPU, accumulates=False)
    out, scale, same_x, meta, same_state, count = found.values
    assert (scale, type(scale), meta) == (2.0, float, 64)
    assert same_x is x
    assert same_state is state
    assert [id(one) for one in found.outputs] == [id(out), id(state), id(count)]
    assert out.isnan().all()
    assert count.tolist() == [7]
    assert found.initial == []


def test_buffers_that_are_lent_are_used():
    out, count = torch.zeros(2, 3), torch.zeros(1, dtype=torch.int32)
    found = arrange(MIXED, [2, torch.ones(2, 3), torch.zeros(2, 3)], [out, count], CPU, accumulates=False)
    assert found.values[0] is out
    assert found.values[-1] is count
    assert out.sum() == 0


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 0), (4, 0), (3, 1), (3, 3)])
def test_a_wrong_number_is_told(inputs, outputs):
    with pytest.raises(LoadFailed, match="the contract has"):
        arrange(MIXED, [1] * inputs, [torch.ones(1)] * outputs, CPU, accumulates=False)


def test_what_a_kernel_adds_to_is_filled_before_every_call():
    found = arrange(MIXED, [2, torch.ones(2, 3), torch.zeros(2, 3)], [], CPU, accumulates=True)
    out, count = found.values[0], found.values[-1]

    def launch():
        out.add_(1)
        count.add_(1)

    call = with_initial_content(found, launch)
    for _ in range(2):
        assert call() is found.outputs
        assert (out == 1).all()
        assert count.tolist() == [8]


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_floating_outputs_begin_as_nan(dtype):
    assert allocate(bound(tensor("y", "output", dtype=dtype)).args[0].tensor, CPU).float().isnan().all()


@pytest.mark.parametrize(("dtype", "value"), [("int64", -1), ("int8", -1), ("uint8", 255), ("bool", True)])
def test_other_outputs_begin_with_all_bits_set(dtype, value):
    found = allocate(bound(tensor("y", "output", dtype=dtype)).args[0].tensor, CPU)
    assert found.flatten().tolist() == [value] * 6


@pytest.mark.parametrize(
    ("dtype", "given", "stored"),
    [
        ("float16", 1e6, float("inf")),
        ("float16", 0.1, 0.0999755859375),
        ("int8", -3, -3),
        ("bool", True, True),
    ],
)
def test_a_content_that_does_not_fit_is_rounded_as_everywhere(dtype, given, stored):
    (arg,) = bound(tensor("y", "output", dtype=dtype, init={"kind": "full", "fill_value": given})).outputs
    assert allocate(arg.tensor, CPU).unique().tolist() == [stored]


def test_strides_are_those_of_the_contract():
    found = allocate(bound(tensor("y", "output", strides=[1, 4])).args[0].tensor, CPU)
    assert (tuple(found.shape), found.stride()) == ((2, 3), (1, 4))
