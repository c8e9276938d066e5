"""Parts of outputs, looked at in the moment in which they are said to be there."""

import random

import pytest
import torch

from kbd.daemon.judge.glance import WINDOW_BYTES, Glance

CPU = torch.device("cpu")


@pytest.fixture
def glance():
    return Glance(CPU, 4)


def look(glance, *tensors):
    glance.choose(tensors, random.Random(7))
    glance.take()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(5000),
        torch.randn(3),
        torch.randn(64, 64).t(),
        torch.randn(9, 400)[:, ::3],
        torch.zeros(0, 4),
        torch.tensor(2.0, dtype=torch.float64),
        torch.randint(0, 9, (7,), dtype=torch.int8),
        torch.full((8,), float("nan")),
    ],
    ids=["large", "small", "transposed", "gaps", "empty", "scalar", "bytes", "nan"],
)
def test_what_stays_as_it_is_has_not_changed(glance, tensor):
    look(glance, tensor, tensor)
    assert glance.changed() == 0


def test_what_is_written_later_is_counted(glance):
    tensors = [torch.zeros(8) for _ in range(4)]
    look(glance, *tensors)
    tensors[0].fill_(1)
    tensors[2].fill_(1)
    assert glance.changed() == 2


def test_any_part_may_be_looked_at(glance):
    """Of a large tensor a change is seen now and then, wherever it is."""
    elements = 4 * WINDOW_BYTES // 4
    for place in (0, elements // 2, elements - 1):
        found = 0
        for seed in range(200):
            tensor = torch.zeros(elements)
            glance.choose([tensor], random.Random(seed))
            glance.take()
            tensor[place] = 1
            found += glance.changed()
        assert 0 < found < 200


def test_no_more_than_there_is_room_for(glance):
    tensors = [torch.zeros(2) for _ in range(9)]
    look(glance, *tensors)
    for tensor in tensors:
        tensor.fill_(1)
    assert glance.changed() == 4


def test_who_has_not_looked_has_seen_nothing(glance):
    assert glance.changed() == 0
    look(glance, torch.zeros(3))
    tensor = torch.zeros(3)
    glance.choose([tensor], random.Random(0))
    tensor.fill_(1)
    assert glance.changed() == 0
