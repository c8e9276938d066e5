"""Sets side by side: every column is the same tensor of each set, where the slots say."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.shared_memory import tensor_at
from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.judge.lending import Lender
from kbd.daemon.judge.set_table import copies_of, lend_sets
from kbd.daemon.runner.values import dtype_named
from kbd.inbox.dtypes import DType

STRIDES = {(2, 3): [None, (1, 2), (8, 2), (3, 1)], (): [None], (0, 4): [None], (5,): [None, (3,)]}
METAS = st.lists(
    st.sampled_from(sorted(STRIDES, key=str)).flatmap(
        lambda shape: st.builds(
            lambda stride, dtype: TensorMeta(shape=shape, dtype=dtype.value, stride=stride),
            st.sampled_from(STRIDES[shape]),
            st.sampled_from(list(DType)),
        )
    ),
    min_size=1,
    max_size=5,
)


class Mapping:
    """A link that maps nothing: the memory is looked at from this side only."""

    def ask(self, question, answer, limit_s, descriptors=()):
        return answer()


@pytest.fixture(scope="module")
def lender():
    lender = Lender(Mapping(), "cpu", 60)
    yield lender
    lender.release()


def seen_by_the_runner(lender, table, place, number):
    """The tensor where a runner finds it by slot and stride."""
    slot = table.slots[place]
    moved = slot.model_copy(update={"offset": slot.offset + number * table.stride})
    return tensor_at(lender._arenas[slot.arena].memory, moved)


@given(METAS, st.integers(1, 4))
def test_columns_are_what_slots_and_stride_say(lender, metas, count):
    table = lend_sets(lender, "a", metas, count)
    for column in table.columns:
        column.copy_(torch.randint(0, 2, column.shape))
    for place, (meta, column) in enumerate(zip(metas, table.columns, strict=True)):
        assert (tuple(column.shape), column.dtype) == ((count, *meta.shape), dtype_named(meta.dtype))
        for number in range(count):
            seen = seen_by_the_runner(lender, table, place, number)
            assert torch.equal(seen.double(), column[number].double())
            if 0 not in meta.shape:
                assert seen.data_ptr() == column[number].data_ptr()
                assert seen.stride() == column[number].stride()


@given(METAS, st.integers(2, 4))
def test_no_tensor_of_any_set_shares_a_byte_with_another(lender, metas, count):
    table = lend_sets(lender, "b", metas, count)
    taken = []
    for place, _ in enumerate(metas):
        for number in range(count):
            tensor = seen_by_the_runner(lender, table, place, number)
            if tensor.numel():
                reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)) + 1
                taken.append((tensor.data_ptr(), tensor.data_ptr() + reach * tensor.element_size()))
    taken.sort()
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(taken))
    begin = table.memory.data_ptr()
    assert all(begin <= start and end <= begin + table.memory.numel() for start, end in taken)


def test_slots_of_the_first_sets_come_set_by_set(lender):
    metas = [TensorMeta(shape=(3,), dtype="float32"), TensorMeta(shape=(), dtype="bool")]
    table = lend_sets(lender, "c", metas, 4)
    slots = table.slots_of(2)
    assert [slot.meta for slot in slots] == metas * 2
    assert [slot.offset - table.slots[0].offset for slot in slots[::2]] == [0, table.stride]


def test_sets_for_one_purpose_lie_where_they_lay_before():
    meta = TensorMeta(shape=(1024,), dtype="float32")
    with_room = Lender(Mapping(), "cpu", 60)
    try:
        first = lend_sets(with_room, "inputs", [meta], 8)
        again = lend_sets(with_room, "inputs", [meta], 8)
        smaller = lend_sets(with_room, "inputs", [meta], 2)
        other = lend_sets(with_room, "outputs", [meta], 8)
        larger = lend_sets(with_room, "inputs", [meta], 16)
        assert first.slots == again.slots == smaller.slots
        assert other.slots != first.slots != larger.slots
        assert lend_sets(with_room, "inputs", [meta], 16).slots == larger.slots
    finally:
        with_room.release()


@given(METAS, st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_copies_are_of_these_sets_in_this_order_and_stay_as_they_are(lender, metas, sets):
    table = lend_sets(lender, "copied", metas, 5)
    table.memory.copy_(torch.arange(table.memory.numel()) % 2)
    for column in table.columns:
        copy = copies_of(column, sets)
        wanted = [column[number].clone() for number in sets]
        column.zero_()
        assert copy.shape == (len(sets), *column.shape[1:])
        assert all(
            torch.equal(*(side.contiguous().reshape(-1).view(torch.uint8) for side in pair))
            for pair in zip(copy, wanted, strict=True)
        )
