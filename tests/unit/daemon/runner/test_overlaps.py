"""Which tensors share memory."""

import pytest
import torch

from kbd.daemon.runner.overlaps import overlaps_of


def pairs(outputs, inputs=()):
    return [(overlap.output, overlap.kind, overlap.other) for overlap in overlaps_of(outputs, inputs)]


X = torch.arange(24.0).reshape(4, 6)


@pytest.mark.parametrize(
    "view",
    [X, X.t(), X[1:], X[:, 3:], X.view(-1)[5:7], X[0, 0], X[:1].expand(9, 6), X.view(torch.int32), X[:, ::2]],
)
def test_a_view_overlaps_its_base(view):
    assert pairs([view], [torch.ones(1), X]) == [(0, "input", 1)]
    assert pairs([X, view]) == [(1, "output", 0)]


@pytest.mark.parametrize("parts", [X.chunk(2, -1), X.chunk(2, 0), (X[:, ::2], X[:, 1::2]), X.unbind(-1)])
def test_views_beside_each_other_do_not_overlap(parts):
    assert pairs(list(parts)) == []


def test_copies_and_empty_tensors_overlap_nothing():
    assert pairs([X.clone(), X[:0], torch.empty(0)], [X, X[:0]]) == []


def test_tensors_that_lie_nowhere():
    assert pairs([X.to("meta")], [X]) == []
