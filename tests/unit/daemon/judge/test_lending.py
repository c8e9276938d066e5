"""Tensors lent to a runner: where they lie, and whose memory it is."""

import math
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.runner_protocol import Map, Okay
from kbd.daemon.executor.shared_memory import ALIGNMENT, extent, map_arena, tensor_at
from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.judge.lending import Lender, lay_out
from kbd.inbox.dtypes import DType

METAS = st.lists(
    st.builds(
        lambda shape, dtype: TensorMeta(shape=tuple(shape), dtype=dtype.value),
        st.lists(st.integers(0, 5), max_size=3),
        st.sampled_from(list(DType)),
    ),
    max_size=6,
)


class FakeLink:
    """A runner that maps whatever it is given."""

    def __init__(self):
        self.questions = []
        self.mapped = {}

    def ask(self, question, answer, limit_s, descriptors=()):
        assert isinstance(question, Map)
        assert answer is Okay
        self.questions.append(question)
        self.mapped[question.arena] = map_arena(
            question.nbytes, question.handle, [os.dup(descriptor) for descriptor in descriptors]
        )
        return Okay()


@pytest.fixture
def link():
    return FakeLink()


@pytest.fixture
def lender(link):
    lender = Lender(link, "cpu", 60)
    yield lender
    lender.release()


@given(METAS)
def test_slots_are_aligned_and_never_touch(metas):
    slots, nbytes = lay_out(3, metas)
    assert [slot.meta for slot in slots] == metas
    assert {slot.arena for slot in slots} <= {3}
    end = 0
    for slot in slots:
        assert slot.offset % ALIGNMENT == 0
        assert slot.offset >= end
        end = slot.offset + extent(slot.meta) + ALIGNMENT
    assert end <= nbytes or not slots


def test_filled_tensors_reach_the_runner(lender, link):
    sources = [torch.randn(3, 5), torch.arange(4, dtype=torch.int8), torch.empty(0, 2), torch.tensor(7.0)]
    metas = [
        TensorMeta(shape=tuple(one.shape), dtype=str(one.dtype).removeprefix("torch.")) for one in sources
    ]
    loan = lender.lend(metas)
    loan.fill(sources)
    for slot, source in zip(loan.slots, sources, strict=True):
        assert torch.equal(tensor_at(link.mapped[slot.arena], slot), source)


def test_strides_are_kept(lender, link):
    source = torch.randn(4, 3).t()
    loan = lender.lend([TensorMeta(shape=(3, 4), dtype="float32", stride=(1, 3))])
    loan.fill([source])
    seen = tensor_at(link.mapped[0], loan.slots[0])
    assert seen.stride() == (1, 3)
    assert torch.equal(seen, source)


def test_copies_are_the_judges_own(lender, link):
    loan = lender.lend([TensorMeta(shape=(4,), dtype="float32")])
    loan.fill([torch.ones(4)])
    (copy,) = loan.copies()
    tensor_at(link.mapped[0], loan.slots[0]).zero_()
    assert copy.tolist() == [1] * 4
    assert loan.tensors[0].tolist() == [0] * 4


def test_a_loan_is_filled_completely_or_not_at_all(lender):
    loan = lender.lend([TensorMeta(shape=(4,), dtype="float32")] * 2)
    with pytest.raises(ValueError, match="shorter"):
        loan.fill([torch.ones(4)])


def test_every_loan_is_an_arena_of_its_own(lender, link):
    for _ in range(3):
        lender.lend([TensorMeta(shape=(2,), dtype="int64")])
    assert [question.arena for question in link.questions] == [0, 1, 2]
    assert all(question.handle is None for question in link.questions)


def test_what_is_lent_for_a_purpose_lies_where_the_last_ones_lay(lender, link):
    first = lender.lend([TensorMeta(shape=(9,), dtype="int64")], "inputs")
    first.fill([torch.arange(9)])
    second = lender.lend([TensorMeta(shape=(5,), dtype="int8")], "inputs")
    other = lender.lend([TensorMeta(shape=(9,), dtype="int64")], "outputs")
    assert second.arena is first.arena
    assert other.arena is not first.arena
    assert second.trespassed() == []
    second.arena.memory[second.slots[0].offset + 5] = 0
    assert second.trespassed() == [0], "the fences are where the new ones end"


def test_little_is_lost_to_one_that_asks_for_more_each_time(lender, link):
    for size in range(100_000, 200_000, 1000):
        lender.lend([TensorMeta(shape=(size,), dtype="int8")], "inputs")
    assert len(link.questions) == 2


def test_lending_nothing(lender, link):
    loan = lender.lend([])
    assert loan.slots == ()
    assert loan.copies() == []


def test_release_gives_all_descriptors_back(link, open_descriptors):
    before = open_descriptors()
    lender = Lender(link, "cpu", 60)
    for _ in range(3):
        lender.lend([TensorMeta(shape=(1000,), dtype="float64")])
    link.mapped.clear()
    lender.release()
    lender.release()
    assert open_descriptors() == before


@given(st.lists(st.integers(0, 4), max_size=3), st.randoms(use_true_random=False))
def test_a_slot_is_as_large_as_its_tensor(shape, random):
    order = list(range(len(shape)))
    random.shuffle(order)
    source = torch.empty(tuple(shape)).permute(order)
    meta = TensorMeta(shape=tuple(source.shape), dtype="float32", stride=source.stride())
    (slot,), _ = lay_out(0, [meta])
    assert extent(slot.meta) == 4 * math.prod(shape)
