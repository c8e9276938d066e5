import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_data import TensorData
from kbd.inbox.tensor_init import InitKind, TensorInit


def tensor(name, role="input", **fields):
    return BoundArg(
        name=name, type="tensor", role=role, tensor=BoundTensor(shape=(2, 3), dtype=DType.FLOAT16, **fields)
    )


CONTRACT = BoundContract(
    axes={"M": 2},
    args=(
        tensor("x"),
        tensor("acc", "inout"),
        tensor("y", "output"),
        BoundArg(name="n", type="int", role="input", value=6),
        BoundArg(name="BLOCK", type="int", role="input", value=64, is_meta=True),
    ),
)


def names(args):
    return [arg.name for arg in args]


def test_views():
    assert names(CONTRACT.tensors) == ["x", "acc", "y"]
    assert names(CONTRACT.inputs) == ["x", "acc", "n"]
    assert names(CONTRACT.input_tensors) == ["x", "acc"]
    assert names(CONTRACT.outputs) == ["acc", "y"]
    assert names(CONTRACT.meta_args) == ["BLOCK"]


def test_survives_json():
    assert BoundContract.model_validate_json(CONTRACT.model_dump_json()) == CONTRACT


def test_sizes():
    plain = BoundTensor(shape=(2, 3), dtype=DType.FLOAT16)
    assert (plain.elements, plain.size_bytes, plain.extent) == (6, 12, 6)
    assert BoundTensor(shape=(), dtype=DType.FLOAT64).size_bytes == 8
    assert BoundTensor(shape=(2, 3), dtype=DType.INT8, strides=(10, 2)).extent == 15


def test_pinned_inputs():
    assert not CONTRACT.has_pinned_inputs
    for fields in ({"init": TensorInit(kind=InitKind.ARANGE)}, {"data": TensorData(file="x.npy")}):
        pinned = BoundContract(axes={}, args=(tensor("x", **fields),))
        assert pinned.has_pinned_inputs
        assert not BoundContract(axes={}, args=(tensor("y", "output", **fields),)).has_pinned_inputs


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
)
def test_elements_that_overlap_are_always_noticed(shape, strides):
    strides = strides[: len(shape)]
    found = BoundTensor(shape=tuple(shape), dtype=DType.INT8, strides=tuple(strides)).overlaps_itself
    places = [
        sum(index * stride for index, stride in zip(indices, strides, strict=True))
        for indices in itertools.product(*map(range, shape))
    ]
    if len(set(places)) < len(places):
        assert found


def test_usual_layouts_do_not_overlap():
    for strides in [(3, 1), (1, 2), (8, 2)]:
        assert not BoundTensor(shape=(2, 3), dtype=DType.INT8, strides=strides).overlaps_itself


@pytest.mark.parametrize("shape", [(1, 1), (0, 4), (4, 0), (0, 0)])
def test_one_element_or_none_cannot_overlap(shape):
    assert not BoundTensor(shape=shape, dtype=DType.INT8, strides=(0, 0)).overlaps_itself
