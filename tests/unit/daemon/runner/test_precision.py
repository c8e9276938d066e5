"""A kernel's float64 form."""

import pytest
import torch

from kbd.backends.base import BareExecutable, Unsupported
from kbd.daemon.runner.precision import Float64Form, widened
from kbd.inbox.dtypes import DType


class Doubling(BareExecutable):
    def in_float64(self):
        return lambda inputs: inputs[0] * 2


class InPlace(BareExecutable):
    def in_float64(self):
        return lambda inputs: inputs[1]["deep"].add_(1) and None


def test_inputs_are_widened_copies():
    x = torch.ones(3, dtype=torch.bfloat16)
    found = Float64Form(Doubling()).call([x])
    assert found.dtype is torch.float64
    assert found.tolist() == [2, 2, 2]
    assert x.tolist() == [1, 1, 1]


def test_what_worked_in_place_gives_its_inputs():
    x, y = torch.ones(1), torch.zeros(1, dtype=torch.int32)
    found = Float64Form(InPlace()).call([x, {"deep": y}])
    assert [tensor.item() for tensor in found] == [1, 1]
    assert y.item() == 0


@pytest.mark.parametrize("kernel", [None, BareExecutable()])
def test_a_kernel_without_such_a_form(kernel):
    with pytest.raises(Unsupported):
        Float64Form(kernel).call([])


@pytest.mark.parametrize("dtype", list(DType))
def test_widening(dtype):
    narrow = torch.tensor([0, 1]).float().to(getattr(torch, dtype.value))
    wide = widened(narrow)
    assert wide.dtype is (torch.float64 if dtype.is_floating else narrow.dtype)
    assert wide.double().tolist() == [0, 1]
    assert wide.data_ptr() != narrow.data_ptr()
