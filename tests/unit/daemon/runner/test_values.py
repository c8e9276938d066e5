"""Values survive the way through JSON, and nothing but data comes out."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.compare import compare
from kbd.daemon.judge.tolerance import tolerance_for
from kbd.daemon.runner.values import (
    COMPARABLE,
    LARGEST_INT,
    UnknownValue,
    keys,
    leaves,
    meta_of,
    pack,
    tensors_in,
    unpack,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INT, LARGEST_INT)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
)
TREES = st.recursive(
    SCALARS | st.sampled_from([torch.float32, torch.int8]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(TREES)
def test_round_trip(value):
    tree, tensors = pack(value)
    assert tensors == []
    assert unpack(json.loads(json.dumps(tree)), []) == value


def test_nan_survives():
    tree, _ = pack([math.nan])
    assert math.isnan(unpack(json.loads(json.dumps(tree)), [])[0])


def test_tensors_are_taken_out_in_order():
    first, second = torch.zeros(2), torch.ones(3)
    tree, tensors = pack({"a": [first], "b": (second, 1)})
    assert tensors[0] is first
    assert tensors[1] is second
    assert unpack(tree, ["x", "y"]) == {"a": ["x"], "b": ("y", 1)}


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", lambda: 0, torch.device("cpu")])
def test_other_things_do_not_pass(value):
    with pytest.raises(UnknownValue):
        pack([value])


def test_a_structure_without_end_does_not_pass():
    endless: list = []
    endless.append(endless)
    with pytest.raises(UnknownValue, match="levels deep"):
        pack(endless)


@pytest.mark.parametrize(
    "tree",
    [
        {"tensor": 1},
        {"tensor": -1},
        {"call": "os.system"},
        {"dtype": "load"},
        {"tensor": 0, "tuple": []},
        {"float": "1e3"},
    ],
)
def test_forged_trees_are_refused(tree):
    with pytest.raises(UnknownValue):
        unpack(tree, ["only"])


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", sorted(COMPARABLE, key=str))
def test_what_is_said_to_be_comparable_can_be_copied_and_compared(dtype):
    column = torch.zeros(4, 16, dtype=torch.uint8).view(dtype)
    made = column[[0, 2]].clone()
    assert compare(made, made, tolerance_for(made, None, None)).passes(1.0)
    meta_of(made)


@pytest.mark.parametrize("dtype", [torch.bits8, torch.bits16, torch.quint8, torch.uint4, torch.int1], ids=str)
def test_dtypes_that_nobody_can_compare_are_refused(dtype):
    with pytest.raises(UnknownValue, match=f"a tensor of {dtype}"):
        meta_of(torch.zeros(4, dtype=torch.uint8).view(dtype))


def test_sparse_tensors_are_refused():
    with pytest.raises(UnknownValue, match="dense"):
        meta_of(torch.eye(3).to_sparse())


class Lazy(torch.Tensor):
    pass


def test_a_subclass_of_tensor_is_not_what_it_seems():
    with pytest.raises(UnknownValue, match="Lazy; expected a plain"):
        pack([torch.ones(2).as_subclass(Lazy)])


def test_neither_is_a_tensor_with_methods_of_its_own():
    tensor = torch.ones(2)
    tensor.copy_ = tensor.stride = lambda *_: None
    with pytest.raises(UnknownValue, match="whose copy_, stride was replaced"):
        pack(tensor)


def test_attributes_that_replace_nothing_may_stay():
    tensor = torch.ones(2)
    tensor.my_note = "x"
    assert tensors_in([tensor, torch.nn.Parameter(tensor)])[0] is tensor


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, [3]),
        ([1, (2, [3])], [1, 2, 3]),
        ({"b": 1, "a": 2}, [2, 1]),
        ({1: [4, 5]}, [4, 5]),
        ([float("nan")], [{"float": "nan"}]),
        ([], []),
    ],
)
def test_leaves(value, found):
    assert leaves(pack(value)[0]) == found


def test_dicts_in_another_order_have_the_same_leaves_and_tensors():
    a, b = torch.ones(1), torch.zeros(2)
    one, other = pack({"a": a, "b": b}), pack({"b": b, "a": a})
    assert leaves(one[0]) == leaves(other[0])
    assert list(unpack(other[0], other[1])) == ["b", "a"], "a kernel sees the order that it was given"
    assert [tensor.shape for tensor in one[1]] == [tensor.shape for tensor in other[1]]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1, []),
        ([1, (2,)], []),
        ({"b": 1, "a": 2}, ["a", "b"]),
        ([{"a": {"c": 1}}, {"b": 2}], ["a", "c", "b"]),
        ({"a": None, "b": [None], "c": {}, "d": 0}, ["d"]),
        ({(1, "x"): 2}, [{"tuple": [1, "x"]}]),
    ],
)
def test_keys(value, found):
    assert keys(pack(value)[0]) == found
