"""Known bytes around lent tensors."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.shared_memory import extent, tensor_at
from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.judge.canaries import GUARD_BYTES, broken_fences, has_gaps, poison, raise_fences
from kbd.daemon.judge.lending import lay_out
from kbd.inbox.dtypes import DType

SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
METAS = st.lists(
    st.builds(
        lambda shape, dtype: TensorMeta(shape=shape, dtype=dtype.value), SHAPES, st.sampled_from(list(DType))
    ),
    min_size=1,
    max_size=4,
)


def fenced(metas):
    slots, nbytes = lay_out(0, metas)
    memory = torch.zeros(nbytes, dtype=torch.uint8)
    raise_fences(memory, slots)
    return memory, slots


@given(METAS, st.data())
def test_one_byte_outside_of_all_tensors_is_seen(metas, data):
    memory, slots = fenced(metas)
    for slot in slots:
        memory[slot.offset : slot.offset + extent(slot.meta)] = 7
    assert broken_fences(memory, slots) == []
    inside = {place for slot in slots for place in range(slot.offset, slot.offset + extent(slot.meta))}
    place = data.draw(st.integers(0, memory.numel() - 1).filter(lambda place: place not in inside))
    memory[place] ^= 1 << data.draw(st.integers(0, 7))
    assert broken_fences(memory, slots)


@pytest.mark.parametrize("dtype", [entry.value for entry in DType if entry.is_floating])
def test_what_is_read_outside_is_nan(dtype):
    memory, (slot,) = fenced([TensorMeta(shape=(3,), dtype=dtype)])
    beyond = slot.model_copy(update={"meta": TensorMeta(shape=(64,), dtype=dtype)})
    values = tensor_at(memory, beyond).float()
    beyond_the_end = values[3:]
    share = beyond_the_end.isnan().float().mean()
    assert share == 1 if dtype != "float8_e4m3fn" else share >= 0.4, (
        "every second byte of the widest-known format"
    )


def test_a_write_between_the_elements_is_seen():
    meta = TensorMeta(shape=(2, 3), dtype="float32", stride=(8, 2))
    memory, slots = fenced([meta])
    assert has_gaps(slots[0])
    tensor_at(memory, slots[0]).fill_(1.0)
    assert broken_fences(memory, slots) == []
    memory[slots[0].offset + 4] ^= 1
    assert broken_fences(memory, slots) == [0]


@pytest.mark.parametrize(
    ("shape", "stride", "gaps"),
    [
        ((2, 3), (1, 2), False),
        ((2, 3), (3, 1), False),
        ((2, 1, 3), (3, 99, 1), False),
        ((2, 3), (4, 1), True),
        ((), (), False),
    ],
)
def test_gaps(shape, stride, gaps):
    (slot,), _ = lay_out(0, [TensorMeta(shape=shape, dtype="int8", stride=stride)])
    assert has_gaps(slot) is gaps


@given(METAS)
def test_poison_stays_inside(metas):
    memory, slots = fenced(metas)
    poison(memory, slots)
    assert broken_fences(memory, slots) == []
    for slot in slots:
        tensor = tensor_at(memory, slot)
        if tensor.dtype.is_floating_point:
            assert all(map(math.isnan, tensor.float().reshape(-1).tolist()))
        elif tensor.dtype is not torch.bool:
            assert not (tensor == 0).any()


def test_zones_are_wide_enough_for_a_stray_block():
    assert GUARD_BYTES >= 1024 * 4
