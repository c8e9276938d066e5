"""Answers that need no kernel."""

import math

import pytest
import torch

from kbd.daemon.judge.degenerate import BEFORE, CONSTANT, INPUT, LARGEST, ZEROS, DegenerateAnswers
from kbd.daemon.judge.expected import ExpectedOutput
from kbd.daemon.judge.tolerance import AppliedTolerance, tolerance_for


def output(tensor, tolerance=None, ratio=1.0):
    return ExpectedOutput("y", tensor, tolerance or tolerance_for(tensor, None, None), ratio)


def passing(*trials):
    answers = DegenerateAnswers()
    for outputs, inputs in trials:
        answers.judge(outputs, inputs)
    return answers.passing


X, Y = torch.randn(50), torch.randn(50)


@pytest.mark.parametrize(
    ("trials", "found"),
    [
        ([([output(X.exp())], [X]), ([output(Y.exp())], [Y])], ()),
        ([([output(X)], [X]), ([output(Y)], [Y])], (INPUT,)),
        ([([output(torch.zeros(9))], [X]), ([output(torch.zeros(9))], [Y])], (ZEROS, CONSTANT, BEFORE)),
        ([([output(torch.full((9,), 3.0))], [X]), ([output(torch.full((9,), 4.0))], [Y])], (CONSTANT,)),
        ([([output(torch.arange(9.0))], [X]), ([output(torch.arange(9.0))], [Y])], (BEFORE,)),
        ([([output(torch.arange(9))], [X]), ([output(torch.arange(9))], [Y])], (BEFORE,)),
        ([([output(torch.ones(9) > 0)], [X]), ([output(torch.ones(9) > 0)], [Y])], (CONSTANT, BEFORE)),
        ([([output(X), output(X.exp())], [X]), ([output(Y), output(Y.exp())], [Y])], ()),
        ([([output(X)], [X]), ([output(Y.exp())], [Y])], ()),
        ([([output(torch.full((5,), math.nan))], [X])] * 2, (CONSTANT, BEFORE)),
    ],
)
def test_what_passes(trials, found):
    assert passing(*trials) == found


def test_a_loose_tolerance_is_found_out():
    softmax = torch.softmax(torch.randn(4, 100_000), -1)
    loose = output(softmax, AppliedTolerance(1e-2, 0.0))
    assert passing(([loose], [])) == (ZEROS, CONSTANT)
    assert passing(([output(softmax)], [])) == ()


def test_a_few_large_elements_hide_the_others():
    made = torch.exp(5 * torch.randn(100_000, generator=torch.Generator().manual_seed(1)))
    assert passing(([output(made)], [])) == (LARGEST,)
    assert passing(([output(made, AppliedTolerance(0.0, 1e-4))], [])) == ()
    assert passing(([output(torch.relu(torch.randn(1000)))], [])) == (), "zeros are zeros"


def test_a_lenient_ratio_is_found_out():
    sparse = torch.zeros(100)
    sparse[:5] = 1
    assert passing(([output(sparse, ratio=0.9)], [])) == (ZEROS, CONSTANT)[:1]


def test_a_single_number_is_no_constant():
    assert passing(([output(torch.tensor(3.0))], [])) == ()


def test_nothing_passes_before_it_was_judged():
    assert DegenerateAnswers().passing == ()
