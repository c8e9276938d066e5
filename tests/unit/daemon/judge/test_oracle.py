"""Where expected values come from."""

import math

import pytest
import torch

from kbd.daemon.judge import oracle as oracle_module
from kbd.daemon.judge.hosted_kernel import InputSet
from kbd.daemon.judge.oracle import UPCAST, Oracle
from kbd.daemon.judge.tolerance import AskedTolerance
from kbd.daemon.runner.values import pack

OPEN = AskedTolerance()


@pytest.fixture
def ask(make_kernel):
    """One trial of an oracle; returns its outputs."""

    def run(compute, precise, *values, asked=OPEN, oracle=None, places=None):
        kernel = make_kernel("reference", compute, precise=precise)
        kernel.bind(0, InputSet(*pack(list(values))))
        run.oracle = oracle or Oracle(kernel)
        run.oracle._reference = kernel
        ran = run.oracle.run(0)
        plain = kernel.outputs_of(ran) if places is None else kernel.inputs_now(0, places)
        names = [f"y{number}" for number in range(len(plain))]
        return run.oracle.settle(ran, names, plain, [asked] * len(plain), places)

    return run


def test_float64_decides_and_is_rounded_to_the_outputs_dtype(ask):
    x = torch.randn(64).bfloat16()
    (output,) = ask(lambda x: x.exp(), lambda x: x.exp(), x)
    assert output.tensor.dtype is torch.bfloat16
    assert torch.equal(output.tensor, x.double().exp().bfloat16())
    assert ask.oracle.said == UPCAST


def test_low_precision_inputs_are_upcast_as_they_are(ask):
    """The oracle starts from the rounded inputs: what rounding them has cost is nobody's fault."""
    x = torch.full((4,), 0.1).half()
    (output,) = ask(lambda x: x.float() * 3, lambda x: x * 3, x)
    assert torch.equal(output.tensor, (x.double() * 3).float())


@pytest.mark.parametrize(
    ("precise", "reason"),
    [
        (None, "in float64 it fails: it has none"),
        (lambda x: 2 * x, "in float64 it computes another y0"),
        (lambda x: (x, x), "in float64 it returns other outputs"),
        (lambda x: x[:2], "in float64 it returns other outputs"),
        (lambda x: x * math.nan, "in float64 it computes another y0"),
    ],
)
def test_a_float64_form_that_means_something_else_is_not_believed(ask, precise, reason):
    x = torch.randn(8)
    (output,) = ask(lambda x: x.clone(), precise, x)
    assert torch.equal(output.tensor, x)
    assert ask.oracle.said == f"reference ({reason})"


def test_once_given_up_it_is_not_asked_again(ask):
    calls = []
    ask(lambda x: x.clone(), lambda x: calls.append(x) or 2 * x, torch.ones(3))
    ask(lambda x: x.clone(), lambda x: calls.append(x) or 2 * x, torch.ones(3), oracle=ask.oracle)
    assert len(calls) == 1


def test_a_slow_float64_form_is_asked_only_so_long(ask, monkeypatch):
    monkeypatch.setattr(oracle_module, "BUDGET_S", -1.0)
    for _ in range(2):
        ask(lambda x: x + 1, lambda x: x + 1, torch.ones(3), oracle=getattr(ask, "oracle", None))
    assert ask.oracle.said == f"{UPCAST} in 1 of 2 trials, then as it is (float64 takes too long)"


def test_indices_are_what_the_reference_says(ask):
    x = torch.tensor([1.0, 1.0])
    outputs = ask(lambda x: (x + 1, x.argmax()), lambda x: (x + 1, x.argmax() + 1), x)
    assert outputs[1].tensor.item() == x.argmax().item()
    assert ask.oracle.said == UPCAST


def test_without_floating_outputs_there_is_nothing_to_upcast(ask):
    ask(lambda x: x > 0, lambda x: x > 0, torch.randn(5))
    assert ask.oracle.said == "reference"


def test_what_the_reference_itself_gets_wrong_is_allowed_twice(ask):
    x = torch.linspace(1, 2, 100)
    (output,) = ask(lambda x: x * (1 + 5e-4), lambda x: x, x)
    (strict,) = ask(lambda x: x, lambda x: x, x)
    assert ask.oracle.said == UPCAST
    assert 2 < output.tolerance.rtol / strict.tolerance.rtol < 16
    assert strict.tolerance.rtol == 1e-4


def test_an_explicit_tolerance_is_never_widened(ask):
    asked = AskedTolerance(atol=1e-6, rtol=1e-4)
    x = torch.linspace(1, 2, 100)
    (output,) = ask(lambda x: x * (1 + 5e-4), lambda x: x, x, asked=asked)
    assert (output.tolerance.atol, output.tolerance.rtol) == (1e-6, 1e-4)
    assert torch.equal(output.tensor, x * (1 + 5e-4)), "then the reference as it is decides"


def test_in_place_references(ask):
    outputs = ask(
        lambda x, y: y.add_(x) and None,
        lambda x, y: y.add_(x) and None,
        torch.ones(1),
        torch.ones(1),
        places=[1],
    )
    assert outputs[0].tensor.item() == 2
    assert ask.oracle.said == UPCAST
