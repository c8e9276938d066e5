"""Memory that is lent: what lies where, and that nobody can take it away."""

import fcntl
import math
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.shared_memory import (
    ALIGNMENT,
    Arena,
    OutOfDeviceMemory,
    SharingFailed,
    _cuda,
    contiguous_stride,
    extent,
    map_arena,
    tensor_at,
)
from kbd.daemon.executor.tensor_messages import Slot, TensorMeta
from kbd.daemon.runner.values import dtype_name
from kbd.inbox.dtypes import DType

SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@pytest.fixture
def arena():
    arena = Arena(4096, "cpu")
    yield arena
    if arena.descriptor is not None:
        arena.release()


def mapped(arena):
    """As the runner sees it: the descriptor has travelled, so it is a copy."""
    return map_arena(arena.nbytes, None, [os.dup(arena.descriptor)])


@given(SHAPES)
def test_strides_are_those_of_torch(shape):
    assert contiguous_stride(shape) == torch.empty(shape).stride()


@given(SHAPES, st.sampled_from(list(DType)), st.randoms(use_true_random=False))
def test_extent_reaches_from_the_first_to_the_last_element(shape, dtype, random):
    order = list(range(len(shape)))
    random.shuffle(order)
    tensor = torch.empty(shape).permute(order)
    meta = TensorMeta(shape=tuple(tensor.shape), dtype=dtype.value, stride=tensor.stride())
    assert extent(meta) == math.prod(shape) * dtype.itemsize


@pytest.mark.parametrize(
    ("shape", "stride", "elements"),
    [((), (), 1), ((3,), (0,), 1), ((2, 3), (8, 2), 13), ((0, 3), (8, 2), 0), ((5,), (7,), 29)],
)
def test_extent_counts_gaps(shape, stride, elements):
    assert extent(TensorMeta(shape=shape, dtype="float64", stride=stride)) == 8 * elements


@pytest.mark.parametrize("dtype", list(DType))
@pytest.mark.parametrize(
    ("shape", "stride"),
    [((), None), ((3, 5), None), ((3, 5), (1, 3)), ((2, 3), (8, 2)), ((0, 4), None), ((4, 0, 2), (2, 2, 1))],
    ids=str,
)
def test_judge_and_runner_see_the_same_tensor(arena, dtype, shape, stride):
    slot = Slot(arena=0, offset=ALIGNMENT, meta=TensorMeta(shape=shape, dtype=dtype.value, stride=stride))
    judges, runners = tensor_at(arena.memory, slot), tensor_at(mapped(arena), slot)
    assert judges.shape == runners.shape == torch.Size(shape)
    assert dtype_name(runners.dtype) == dtype.value
    values = torch.arange(math.prod(shape)).reshape(shape).remainder(2).to(runners.dtype)
    judges.copy_(values)
    assert torch.equal(runners.double(), values.double())
    if judges.numel():
        assert runners.stride() == (stride or contiguous_stride(shape))
        assert runners.data_ptr() % ALIGNMENT == 0
    assert not arena.memory[:ALIGNMENT].any()


def test_what_a_runner_writes_is_seen_by_the_judge(arena):
    slot = Slot(arena=0, offset=0, meta=TensorMeta(shape=(4,), dtype="int32"))
    tensor_at(mapped(arena), slot).fill_(7)
    assert tensor_at(arena.memory, slot).tolist() == [7] * 4


@pytest.mark.parametrize("nbytes", [0, 1, 8192])
def test_a_runner_cannot_change_the_size(arena, nbytes):
    received = os.dup(arena.descriptor)
    try:
        with pytest.raises(PermissionError):
            os.ftruncate(received, nbytes)
    finally:
        os.close(received)
    assert os.fstat(arena.descriptor).st_size == 4096


def test_a_runner_cannot_add_seals(arena):
    with pytest.raises(PermissionError):
        fcntl.fcntl(arena.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_the_descriptor_does_not_survive_an_exec(arena):
    assert not os.get_inheritable(arena.descriptor)


def test_mapping_lets_the_descriptor_go(arena, open_descriptors):
    before = open_descriptors()
    memory = mapped(arena)
    assert memory.numel() == arena.nbytes
    # The mapping itself keeps one, as long as it lives.
    assert open_descriptors() <= before + 1
    del memory
    assert open_descriptors() == before


def test_even_nothing_has_a_place():
    arena = Arena(0, "cpu")
    assert arena.nbytes == ALIGNMENT
    arena.release()


def test_releasing_gives_everything_back(open_descriptors):
    before = open_descriptors()
    arena = Arena(1 << 20, "cpu")
    arena.release()
    assert open_descriptors() == before


def test_too_much_memory_is_a_sharing_failure(open_descriptors):
    before = open_descriptors()
    with pytest.raises(SharingFailed, match="shared memory"):
        Arena(1 << 62, "cpu")
    assert open_descriptors() == before


class _Code(int):
    name = "cudaErrorSomething"


@pytest.mark.parametrize(("code", "error"), [(2, OutOfDeviceMemory), (999, SharingFailed)])
def test_what_cuda_refuses(code, error):
    with pytest.raises(error):
        _cuda((_Code(code),))


def test_what_cuda_grants():
    assert _cuda((_Code(0), "value")) == "value"
    assert _cuda((_Code(0),)) is None
