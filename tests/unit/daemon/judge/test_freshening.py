"""New contents before every turn: still valid, never seen before, the same for both kernels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.judge.draw import draw
from kbd.daemon.judge.freshening import TURNS_AHEAD, Freshener, Origin
from kbd.daemon.runner.values import dtype_named
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_init import InitKind, TensorInit

CPU = torch.device("cpu")
SETS = 6
SHAPES = st.sampled_from([(), (1,), (2,), (7, 5), (64, 33), (3, 0), (2, 3, 4)])
SEEDS = st.integers(0, 2**32)
CHOSEN = st.lists(st.integers(0, SETS - 1), unique=True)


def columns_for(origins, count):
    """Room for `count` sets, laid out as the originals are."""
    columns = []
    for origin in origins:
        one = origin.originals[0]
        step = max(one.untyped_storage().nbytes() // one.element_size(), 1)
        room = torch.zeros(count * step, dtype=one.dtype)
        columns.append(room.as_strided((count, *one.shape), (step, *one.stride())))
    return columns


def filled(origins, seed=1):
    freshener = Freshener(origins, CPU, seed)
    columns = columns_for(origins, SETS)
    freshener.fill(columns)
    return freshener, columns


def refreshed(freshener, columns, chosen, origins):
    """After one refresh: the columns, and copies that were aligned with the chosen sets before."""
    index = torch.tensor(chosen, dtype=torch.int64)
    copies = columns_for(origins, len(chosen))
    for copy, column in zip(copies, columns, strict=True):
        copy.copy_(column[index])
    for write in freshener.refreshing(columns, copies, index)():
        write()
    return copies


def drawn(kind, dtype, shape, strides=None, **parameters):
    tensor = BoundTensor(shape=shape, dtype=dtype, init=TensorInit(kind=kind, **parameters), strides=strides)
    return Origin([draw(tensor, 5, CPU, None)], tensor)


def bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


def same_bits(left, right):
    return bits(left) == bits(right)


@given(SHAPES, st.sampled_from(list(DType)), CHOSEN, SEEDS)
def test_copies_equal_the_chosen_sets_whatever_the_dtype(shape, dtype, chosen, seed):
    origins = [drawn(InitKind.RANDINT, dtype, shape, low=0, high=2)]
    freshener, columns = filled(origins, seed)
    for _ in range(3):
        copies = refreshed(freshener, columns, chosen, origins)
        for place, number in enumerate(chosen):
            assert same_bits(copies[0][place], columns[0][number])


@given(SHAPES, st.integers(-50, 50), st.integers(1, 100), SEEDS)
def test_what_is_drawn_again_stays_in_its_range(shape, low, width, seed):
    integers = drawn(InitKind.RANDINT, DType.INT32, shape, low=low, high=low + width)
    uniform = drawn(InitKind.UNIFORM, DType.FLOAT64, shape, low=low, high=low + width)
    freshener, columns = filled([integers, uniform], seed)
    for _ in range(3):
        refreshed(freshener, columns, [0], [integers, uniform])
        for column in columns:
            assert bool(((column >= low) & (column < low + width)).all())


@pytest.mark.parametrize("dtype", [d for d in DType if d.is_floating])
def test_every_set_has_new_contents_every_time(dtype):
    origins = [drawn(InitKind.RANDN, dtype, (64, 8))]
    freshener, columns = filled(origins)
    seen = {bytes(bits(one)) for one in columns[0]}
    assert len(seen) == SETS
    for turn in range(2, 5):
        refreshed(freshener, columns, [], origins)
        seen |= {bytes(bits(one)) for one in columns[0]}
        assert len(seen) == turn * SETS


@pytest.mark.parametrize("shape", [(40, 32), (9, 100), (3, 5, 64), (4, 1024), (2, 3000)], ids=str)
def test_no_row_stays_what_it_was(shape):
    """A kernel that keeps its last input and output may compute the rows alone that have changed."""
    origins = [drawn(InitKind.RANDN, DType.FLOAT32, shape), Origin([torch.randn(shape)], None)]
    freshener, columns = filled(origins)
    before = [column.clone() for column in columns]
    refreshed(freshener, columns, [0], origins)
    for column, old in zip(columns, before, strict=True):
        assert bool((column != old).any(-1).all())


@pytest.mark.parametrize("is_drawn", [True, False], ids=["drawn", "made"])
def test_turns_beyond_those_drawn_at_once_are_as_new_and_as_equal(is_drawn):
    made = torch.randn(64, generator=torch.Generator().manual_seed(1))
    origins = [drawn(InitKind.RANDN, DType.FLOAT32, (64,)) if is_drawn else Origin([made], None)]
    freshener, columns = filled(origins)
    copies = columns_for(origins, 2)
    copies[0].copy_(columns[0][[4, 1]])
    refresh = freshener.refreshing(columns, copies, torch.tensor([4, 1]))
    seen = {bytes(bits(one)) for one in columns[0]}
    before, turns = len(seen), 2 * TURNS_AHEAD + 1
    for _ in range(turns):
        before_it, write_columns, write_copies = copies[0].clone(), *refresh()
        write_columns()
        assert same_bits(copies[0], before_it)
        write_copies()
        assert same_bits(copies[0], columns[0][[4, 1]])
        seen |= {bytes(bits(one)) for one in columns[0]}
    assert len(seen) == before + turns * SETS


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [(InitKind.ZEROS, {}), (InitKind.ARANGE, {}), (InitKind.EYE, {}), (InitKind.FULL, {"fill_value": 3})],
)
def test_what_the_contract_pins_is_never_changed(kind, parameters):
    origins = [drawn(kind, DType.FLOAT32, (4, 4), **parameters)]
    freshener, columns = filled(origins)
    refreshed(freshener, columns, [2, 0], origins)
    for one in columns[0]:
        assert torch.equal(one, origins[0].originals[0])


def test_a_permutation_stays_one():
    tensor = BoundTensor(shape=(16,), dtype=DType.INT64, init=TensorInit(kind=InitKind.PERMUTATION))
    origins = [Origin([draw(tensor, seed, CPU, None) for seed in range(4)], tensor)]
    freshener, columns = filled(origins)
    refreshed(freshener, columns, [], origins)
    for one in columns[0]:
        assert sorted(one.tolist()) == list(range(16))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_made_inputs_keep_their_elements_and_change_their_order(dtype):
    made = torch.randn(40, generator=torch.Generator().manual_seed(1)).to(dtype)
    origins = [Origin([made], None)]
    freshener, columns = filled(origins)
    before = columns[0].clone()
    refreshed(freshener, columns, [1], origins)
    for old, new in zip(before, columns[0], strict=True):
        assert (
            sorted(old.double().tolist()) == sorted(new.double().tolist()) == sorted(made.double().tolist())
        )
        assert not same_bits(old, new)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool])
def test_made_integers_are_only_dealt(dtype):
    originals = [torch.randint(0, 2, (30,)).to(dtype) for _ in range(4)]
    origins = [Origin(originals, None)]
    freshener, columns = filled(origins)
    refreshed(freshener, columns, [1, 5], origins)
    known = [bits(one) for one in originals]
    assert all(bits(one) in known for one in columns[0])


@pytest.mark.parametrize(
    "made",
    [
        torch.arange(20.0),
        torch.arange(20.0).flip(0),
        torch.ones(4, 4) + torch.diag(torch.arange(4.0)),
        torch.randn(5, 5).tril(),
        torch.tensor([0.0, float("-inf"), 0.0, 1.0, 2.0]),
        torch.zeros(9),
    ],
    ids=["rising", "falling", "symmetric", "triangular", "masked", "zeros"],
)
def test_made_inputs_with_an_order_are_left_alone(made):
    origins = [Origin([made], None)]
    freshener, columns = filled(origins)
    refreshed(freshener, columns, [0], origins)
    assert all(torch.equal(one, made) for one in columns[0])


def test_without_swaps_nothing_changes_places():
    originals = [torch.randn(40) for _ in range(2)]
    origins = [Origin(originals, None)]
    freshener = Freshener(origins, CPU, 1)
    freshener.swaps = False
    columns = columns_for(origins, SETS)
    freshener.fill(columns)
    refreshed(freshener, columns, [1], origins)
    known = [bits(one) for one in originals]
    assert all(bits(one) in known for one in columns[0])


@given(CHOSEN, SEEDS)
def test_what_kernels_write_is_made_anew(chosen, seed):
    tensor = BoundTensor(shape=(64,), dtype=DType.FLOAT32, init=TensorInit(kind=InitKind.UNIFORM))
    origins = [Origin([torch.zeros(64)], tensor, changes=True)]
    freshener, columns = filled(origins, seed)
    columns[0].fill_(100.0)  # what the kernel left
    copies = refreshed(freshener, columns, chosen, origins)
    assert bool((columns[0] < 1).all())
    assert all(same_bits(copies[0][place], columns[0][number]) for place, number in enumerate(chosen))


@given(st.sampled_from([(1, 7), (10, 1), (14, 2), (5, 1)]), CHOSEN, SEEDS)
def test_strides_and_gaps_are_respected(strides, chosen, seed):
    origins = [drawn(InitKind.RANDN, DType.FLOAT32, (7, 5), strides=strides)]
    freshener, columns = filled(origins, seed)
    before = columns[0].clone()
    copies = refreshed(freshener, columns, chosen, origins)
    assert columns[0].stride()[1:] == strides
    assert all(not torch.equal(old, new) for old, new in zip(before, columns[0], strict=True))
    assert all(same_bits(copies[0][place], columns[0][number]) for place, number in enumerate(chosen))


def test_the_same_seed_gives_the_same_contents():
    origins = [drawn(InitKind.RANDN, DType.FLOAT32, (9,))]
    contents = []
    for seed in (1, 1, 2):
        freshener, columns = filled(origins, seed)
        refreshed(freshener, columns, [], origins)
        contents.append(bits(columns[0]))
    assert contents[0] == contents[1] != contents[2]


def test_dtypes_of_the_contract_are_those_of_the_columns():
    for dtype in DType:
        origins = [drawn(InitKind.RANDINT, dtype, (3,), low=0, high=2)]
        _, columns = filled(origins)
        assert columns[0].dtype is dtype_named(dtype.value)
