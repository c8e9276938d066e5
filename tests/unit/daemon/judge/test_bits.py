"""The quickest comparison: bytes, whatever they mean."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.bits import invert_bits, places_that_differ, same_bits
from kbd.daemon.runner.values import COMPARABLE


@pytest.mark.parametrize("dtype", sorted(COMPARABLE, key=str), ids=str)
@pytest.mark.parametrize("elements", [0, 1, 3, 8, 1001])
def test_every_dtype_and_size(dtype, elements):
    one, other = (torch.zeros(elements * dtype.itemsize, dtype=torch.uint8) for _ in range(2))
    assert same_bits(one.view(dtype), other.view(dtype))
    for place in {0, elements // 2, elements - 1} if elements else ():
        last_byte = (place + 1) * dtype.itemsize - 1
        other[last_byte] = 1
        assert not same_bits(one.view(dtype), other.view(dtype)), f"element {place} differs in its last byte"
        other[last_byte] = 0


@given(st.binary(min_size=1, max_size=40), st.integers(0, 39), st.integers(1, 255))
def test_one_other_byte_is_seen_wherever_it_is(content, place, change):
    one = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    other = one.clone()
    assert same_bits(one, other)
    other[place % len(content)] ^= change
    assert not same_bits(one, other)


def test_bits_count_and_not_values():
    assert same_bits(torch.tensor([math.nan]), torch.tensor([math.nan]))
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))


def test_nothing_is_said_of_what_is_not_contiguous():
    square = torch.ones(3, 3)
    assert not same_bits(square.expand(2, 3, 3), square.expand(2, 3, 3))


def test_places_where_bits_differ():
    ones = [torch.tensor([0.0, 1.0]), torch.tensor([math.nan]), torch.empty(0), torch.tensor([1, 2, 3])]
    others = [torch.tensor([-0.0, 1.0]), torch.tensor([math.nan]), torch.empty(0), torch.tensor([1, 2, 4])]
    assert places_that_differ(ones, others) == [0, 3]
    assert places_that_differ([], []) == []


@pytest.mark.parametrize("dtype", sorted(COMPARABLE, key=str), ids=str)
def test_a_byte_of_any_dtype_makes_a_place_differ(dtype):
    one, other = (torch.zeros(3 * dtype.itemsize, dtype=torch.uint8) for _ in range(2))
    other[-1] = 1
    assert places_that_differ([one.view(dtype)] * 2, [one.view(dtype), other.view(dtype)]) == [1]


@pytest.mark.parametrize("dtype", sorted(COMPARABLE, key=str), ids=str)
def test_all_bits_become_others_and_the_same_again(dtype):
    room = torch.arange(2 * 3 * 2 * dtype.itemsize, dtype=torch.uint8)
    tensor = room.view(dtype).view(2, 3, 2).transpose(0, 1)[:, :, ::2]
    before = room.clone()
    invert_bits(tensor)
    assert int((room != before).sum()) == tensor.numel() * dtype.itemsize
    assert bool(((room == before) | (room == 255 - before)).all())
    invert_bits(tensor)
    assert torch.equal(room, before)
