"""What captured launches left in memory that the judge borrowed: a runner may name any place."""

import pytest
import torch

from kbd.daemon.executor.runner_protocol import Exposure
from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.judge.exposed_outputs import ExposedOutputs

CPU = torch.device("cpu")
PAIR = TensorMeta(shape=(2,), dtype="float32")
TRANSPOSED = TensorMeta(shape=(2, 2), dtype="int16", stride=(1, 2))
EMPTY = TensorMeta(shape=(0, 3), dtype="float32")
MEMORY = [torch.arange(64, dtype=torch.uint8), torch.arange(100, 116, dtype=torch.uint8)]
DISTINCT = [[], [((0, 0),), ((0, 8),)], [((1, 0),), ((0, 16),), ((1, 8),)], []]


def told(bursts):
    return Exposure(
        handles=("a", "b"), places=[[place for launch in burst for place in launch] for burst in bursts]
    )


def exposed(bursts, metas=(PAIR,), memory=MEMORY):
    return ExposedOutputs.of(told(bursts), memory, metas, [len(burst) for burst in bursts], CPU)


def at(piece, first, nbytes, dtype):
    return MEMORY[piece][first : first + nbytes].clone().view(dtype)


def test_each_launch_is_read_where_its_runner_says():
    (found,) = exposed(DISTINCT).copies(2, [2, 0])
    assert torch.equal(found, torch.stack([at(1, 8, 8, torch.float32), at(1, 0, 8, torch.float32)]))


def test_outputs_of_every_form():
    bursts = [[((1, 0), (0, 6), (0, 0)), ((1, 8), (0, 16), (0, 0))]]
    first, second, third = exposed(bursts, (PAIR, TRANSPOSED, EMPTY)).copies(0, [1, 0])
    assert first.shape == (2, 2)
    assert torch.equal(second[1], at(0, 6, 8, torch.int16).view(2, 2).t())
    assert third.shape == (2, 0, 3)


def test_what_is_read_is_a_copy():
    memory = [piece.clone() for piece in MEMORY]
    (found,) = exposed(DISTINCT, memory=memory).copies(1, [0])
    before = found.clone()
    memory[0].zero_()
    assert torch.equal(found, before)


@pytest.mark.parametrize(
    ("bursts", "reuses"),
    [
        (DISTINCT, False),
        ([[((0, 0),), ((0, 0),)]], True),
        ([[((0, 0),)], [((0, 0),)]], True),
        ([[((0, 0),)], [((1, 0),)]], False),
    ],
)
def test_memory_that_is_used_again(bursts, reuses):
    assert exposed(bursts).reuses is reuses


def test_tensors_without_elements_take_no_memory():
    assert not exposed([[((0, 0),), ((0, 0),)]], (EMPTY,)).reuses


@pytest.mark.parametrize("place", [(0, 60), (2, 0), (1, 1 << 40), (0, 2)])
def test_a_place_outside_is_refused(place):
    with pytest.raises(ValueError, match="would lie"):
        exposed([[(place,)]])


@pytest.mark.parametrize("lengths", [[1], [2, 0], [3], []])
def test_places_for_other_launches_than_were_asked_for_are_refused(lengths):
    with pytest.raises(ValueError, match="other launches"):
        ExposedOutputs.of(told([[((0, 0),), ((0, 8),)]]), MEMORY, (PAIR,), lengths, CPU)
