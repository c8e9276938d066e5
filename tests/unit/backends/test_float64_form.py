"""Python kernels upcast."""

import pytest
import torch

from kbd.backends.float64_form import float64_form


class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((2,), 3.0))
        self.register_buffer("offset", torch.ones(2))

    def forward(self, x):
        return x * self.weight + self.offset

    def other(self, x):
        return x - self.weight


def test_a_module_is_copied_with_its_weights():
    model = Scale()
    found = float64_form(model)(torch.ones(2, dtype=torch.float64))
    assert found.dtype is torch.float64
    assert found.tolist() == [4, 4]
    assert model.weight.dtype is torch.float32


def test_a_method_belongs_to_the_copy():
    found = float64_form(Scale().other)(torch.ones(2, dtype=torch.float64))
    assert (found.dtype, found.tolist()) == (torch.float64, [-2, -2])


def test_a_function_stays_as_it_is():
    assert float64_form(torch.relu) is torch.relu


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it imports its compiler
def test_what_is_to_be_compiled_is_called_as_it_was_written():
    def relu(x):
        return x.clamp(min=0)

    assert float64_form(torch.compile(relu)) is relu
    model = Scale()
    assert type(float64_form(torch.compile(model))) is Scale
