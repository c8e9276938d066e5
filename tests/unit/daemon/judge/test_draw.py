"""Inputs as the contract asks for them: every init, every dtype, and literal data."""

import base64
import errno
import os
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from kbd.daemon.executor.shared_memory import contiguous_stride
from kbd.daemon.judge.draw import BadData, DataOutOfReach, draw
from kbd.daemon.runner.values import dtype_named
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_data import TensorData
from kbd.inbox.tensor_init import InitKind, TensorInit

CPU = torch.device("cpu")
ALWAYS_0 = TensorInit(kind=InitKind.RANDINT, low=0, high=1)
INITS = [
    TensorInit(),
    TensorInit(kind=InitKind.RANDN, mean=3, std=0.5),
    TensorInit(kind=InitKind.UNIFORM),
    TensorInit(kind=InitKind.UNIFORM, low=-2, high=4),
    TensorInit(kind=InitKind.RANDINT, high=2),
    ALWAYS_0,
    TensorInit(kind=InitKind.ZEROS),
    TensorInit(kind=InitKind.ONES),
    TensorInit(kind=InitKind.FULL, fill_value=1),
    TensorInit(kind=InitKind.FULL, fill_value=True),
    TensorInit(kind=InitKind.ARANGE),
    TensorInit(kind=InitKind.EYE),
    TensorInit(kind=InitKind.PERMUTATION),
]
COMBINATIONS = [(init, dtype) for init in INITS for dtype in DType if not list(init.dtype_problems(dtype))]
INTEGERS = [dtype for dtype in DType if not dtype.is_floating and dtype is not DType.BOOL]


def drawn(init, dtype=DType.FLOAT32, shape=(6, 5), seed=1, strides=None):
    return draw(BoundTensor(shape=shape, dtype=dtype, init=init, strides=strides), seed, CPU, None)


def literal(wanted=DType.FLOAT32, size=(2, 3), folder=None, **data):
    return draw(BoundTensor(shape=size, dtype=wanted, data=TensorData(**data)), 0, CPU, folder)


def b64(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


# --- every init in every dtype ----------------------------------------------------------------------


def test_there_is_an_example_of_every_kind():
    assert {init.kind for init, _ in COMBINATIONS} == set(InitKind)


@pytest.mark.parametrize(("init", "dtype"), COMBINATIONS, ids=lambda part: str(getattr(part, "kind", part)))
def test_every_init_in_every_dtype(init, dtype):
    first, again = drawn(init, dtype), drawn(init, dtype)
    assert first.dtype is dtype_named(dtype)
    assert tuple(first.shape) == (6, 5)
    assert first.is_contiguous()
    assert torch.equal(first.double(), again.double()), "the same seed gave another tensor"
    assert torch.isfinite(first.double()).all()


@pytest.mark.parametrize("dtype", list(DType))
@pytest.mark.parametrize(
    "init",
    [TensorInit(kind=InitKind.RANDINT, high=2), TensorInit(kind=InitKind.ARANGE)],
    ids=lambda i: i.kind,
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 1, 3)], ids=str)
def test_unusual_shapes(init, dtype, shape):
    assert tuple(drawn(init, dtype, shape).shape) == shape


@pytest.mark.parametrize(
    "init", [init for init in INITS if init.kind.is_random and init != ALWAYS_0], ids=str
)
def test_another_seed_gives_another_tensor(init):
    assert not torch.equal(drawn(init, shape=(40,)), drawn(init, shape=(40,), seed=2))


@pytest.mark.parametrize("init", [init for init in INITS if not init.kind.is_random], ids=str)
def test_a_fixed_content_does_not_depend_on_the_seed(init):
    assert torch.equal(drawn(init), drawn(init, seed=2))


def test_drawing_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    drawn(TensorInit())
    assert torch.equal(torch.rand(4), expected)


# --- what each kind means ---------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "std"), [(None, None), (0, 0), (5, 0.1), (-2, 3)])
def test_randn(mean, std):
    values = drawn(TensorInit(mean=mean, std=std), DType.FLOAT64, (20_000,))
    wanted = 1.0 if std is None else std
    assert float(values.mean()) == pytest.approx(mean or 0, abs=0.05 * wanted + 1e-12)
    assert float(values.std()) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize(("low", "high"), [(None, None), (-3, 2), (0.25, 0.5)])
def test_uniform(low, high):
    values = drawn(TensorInit(kind=InitKind.UNIFORM, low=low, high=high), DType.FLOAT64, (20_000,))
    low, high = low or 0, 1 if high is None else high
    assert low <= float(values.min()) < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < float(values.max()) <= high


@pytest.mark.parametrize("dtype", INTEGERS)
def test_randint_takes_every_value_below_high(dtype):
    low = 0 if dtype is DType.UINT8 else -2
    values = drawn(TensorInit(kind=InitKind.RANDINT, low=low, high=3), dtype, (500,))
    assert set(values.tolist()) == set(range(low, 3))


def test_randint_over_the_whole_of_int64():
    bounds = torch.iinfo(torch.int64)
    init = TensorInit(kind=InitKind.RANDINT, low=bounds.min, high=bounds.max)
    values = drawn(init, DType.INT64, (500,))
    assert values.min() < 0 < values.max()


@pytest.mark.parametrize(
    ("init", "dtype", "expected"),
    [
        (TensorInit(kind=InitKind.ARANGE), DType.INT32, [[0, 1, 2], [3, 4, 5]]),
        (TensorInit(kind=InitKind.ARANGE, start=5, step=-2), DType.INT16, [[5, 3, 1], [-1, -3, -5]]),
        (TensorInit(kind=InitKind.ARANGE, step=0.5), DType.BFLOAT16, [[0, 0.5, 1], [1.5, 2, 2.5]]),
        (TensorInit(kind=InitKind.EYE), DType.FLOAT16, [[1, 0, 0], [0, 1, 0]]),
        (TensorInit(kind=InitKind.FULL, fill_value=-7), DType.INT8, [[-7] * 3] * 2),
        (TensorInit(kind=InitKind.FULL, fill_value=0.1), DType.FLOAT64, [[0.1] * 3] * 2),
        (TensorInit(kind=InitKind.FULL, fill_value=(1 << 62) + 1), DType.INT64, [[(1 << 62) + 1] * 3] * 2),
        (TensorInit(kind=InitKind.FULL, fill_value=True), DType.BOOL, [[True] * 3] * 2),
        (TensorInit(kind=InitKind.ONES), DType.UINT8, [[1] * 3] * 2),
        (TensorInit(kind=InitKind.ZEROS), DType.BOOL, [[False] * 3] * 2),
    ],
    ids=str,
)
def test_fixed_contents(init, dtype, expected):
    assert drawn(init, dtype, (2, 3)).tolist() == expected


@pytest.mark.parametrize("dtype", [DType.INT64, DType.INT32, DType.FLOAT32, DType.UINT8])
def test_permutations_in_every_row(dtype):
    values = drawn(TensorInit(kind=InitKind.PERMUTATION), dtype, (7, 50))
    assert values.sort(dim=-1).values.tolist() == [list(range(50))] * 7
    assert len({tuple(row) for row in values.tolist()}) == 7


# --- strides ----------------------------------------------------------------------------------------


@given(st.permutations(range(3)), st.integers(0, 3))
def test_strides_change_the_place_and_not_the_values(order, gap):
    shape = (2, 3, 4)
    strides, step = [0, 0, 0], 1
    for dimension in order:
        strides[dimension] = step
        step = step * shape[dimension] + gap
    placed = drawn(TensorInit(), shape=shape, strides=tuple(strides))
    assert placed.stride() == tuple(strides)
    assert torch.equal(placed, drawn(TensorInit(), shape=shape))


def test_contiguous_strides_are_no_copy_of_their_own():
    placed = drawn(TensorInit(), shape=(2, 3), strides=contiguous_stride((2, 3)))
    assert placed.is_contiguous()


def test_data_can_be_strided_too():
    source = BoundTensor(
        shape=(2, 3),
        dtype=DType.INT8,
        strides=(1, 2),
        data=TensorData(data_b64=b64(np.arange(6, dtype=np.int8))),
    )
    placed = draw(source, 0, CPU, None)
    assert placed.stride() == (1, 2)
    assert placed.tolist() == [[0, 1, 2], [3, 4, 5]]


# --- literal data -----------------------------------------------------------------------------------

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
BOTH_WAYS = pytest.mark.parametrize("compress", ["none", "zlib"])


@BOTH_WAYS
@pytest.mark.parametrize("dtype", list(DType))
def test_base64_of_every_dtype(dtype, compress):
    expected = torch.arange(6).remainder(2).reshape(2, 3).to(dtype_named(dtype))
    content = bytes(expected.contiguous().view(torch.uint8).reshape(-1).tolist())
    packed = zlib.compress(content) if compress == "zlib" else content
    found = literal(dtype, data_b64=base64.b64encode(packed).decode(), compress=compress)
    assert found.dtype is expected.dtype
    assert torch.equal(found.double(), expected.double())


def test_nothing_can_be_literal():
    assert tuple(literal(size=(0, 3), data_b64="").shape) == (0, 3)


def test_bytes_of_another_dtype_are_converted():
    found = literal(DType.FLOAT64, data_b64=b64(np.arange(6, dtype=np.int16)), dtype=DType.INT16)
    assert found.dtype is torch.float64
    assert found.flatten().tolist() == [0, 1, 2, 3, 4, 5]


ODD_BOOLEANS = np.array([[0, 1, 2], [3, 128, 255]], np.uint8)


def assert_plain(found):
    assert found.dtype is torch.bool
    assert found.view(torch.uint8).tolist() == [[0, 1, 1], [1, 1, 1]]


@BOTH_WAYS
def test_bytes_of_booleans_are_made_0_and_1(compress):
    content = ODD_BOOLEANS.tobytes()
    packed = zlib.compress(content) if compress == "zlib" else content
    assert_plain(literal(DType.BOOL, data_b64=base64.b64encode(packed).decode(), compress=compress))


def test_bytes_of_booleans_in_files_are_made_0_and_1(tmp_path):
    odd = ODD_BOOLEANS.view(np.bool_)
    np.save(tmp_path / "x.npy", odd)
    save_file({"x": torch.from_numpy(odd)}, tmp_path / "x.safetensors")
    assert_plain(literal(DType.BOOL, folder=tmp_path, file="x.npy"))
    assert_plain(literal(DType.BOOL, folder=tmp_path, file="x.safetensors#x"))


def test_changing_what_was_drawn_does_not_change_what_is_drawn_next():
    first = literal(data_b64=b64(ARRAY))
    first.zero_()
    assert torch.equal(literal(data_b64=b64(ARRAY)), torch.from_numpy(ARRAY))


def test_npy(tmp_path):
    np.save(tmp_path / "x.npy", ARRAY)
    assert torch.equal(literal(folder=tmp_path, file="x.npy"), torch.from_numpy(ARRAY))


def test_safetensors(tmp_path):
    tensors = {"x": torch.from_numpy(ARRAY).bfloat16(), "other": torch.zeros(1)}
    save_file(tensors, tmp_path / "x.safetensors")
    found = literal(DType.BFLOAT16, folder=tmp_path, file="x.safetensors#x")
    assert torch.equal(found, tensors["x"])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2), np.float32), r"shape \[2, 3\], found \[3, 2\]"),
        (np.zeros((2, 3), np.float64), "dtype torch.float32, found torch.float64"),
        (np.zeros((2, 3), ">f4"), "byte order"),
    ],
    ids=["shape", "dtype", "byte order"],
)
def test_files_that_do_not_fit(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(BadData, match=message):
        literal(folder=tmp_path, file="x.npy")


@pytest.mark.parametrize("content", [b"no array at all", b"\x93NUMPY\x01\x00"], ids=["text", "cut"])
def test_a_file_that_is_no_array(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(BadData, match=r"x\.npy"):
        literal(folder=tmp_path, file="x.npy")


def test_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(BadData, match="pickle"):
        literal(folder=tmp_path, file="x.npy")


def test_a_key_that_is_not_there(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(BadData, match="y"):
        literal(folder=tmp_path, file="x.safetensors#y")


@pytest.mark.fault("a job is deleted from claimed/")
@pytest.mark.parametrize("name", ["gone.npy", "gone.safetensors#a"])
def test_a_file_that_is_gone_is_not_bad(tmp_path, name):
    with pytest.raises(DataOutOfReach, match=r"gone\."):
        literal(folder=tmp_path, file=name)
    with pytest.raises(DataOutOfReach):
        literal(folder=tmp_path / "gone", file=name)


@pytest.mark.fault("a permission is denied for a moment")
@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_file_system_that_fails_is_not_the_fault_of_the_data(tmp_path, monkeypatch, code):
    np.save(tmp_path / "x.npy", ARRAY)

    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    for module, name in ((os, "open"), (np, "load")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            with pytest.raises(DataOutOfReach, match=os.strerror(code)):
                literal(folder=tmp_path, file="x.npy")


@pytest.mark.fault("a job leads out of its folder")
@pytest.mark.parametrize("name", ["x.npy", "x.safetensors#a"])
def test_a_file_that_became_a_symlink_is_not_followed(tmp_path, name):
    """Its user may write into the folder still."""
    folder = tmp_path / "a.job"
    folder.mkdir()
    np.save(tmp_path / "x.npy", ARRAY)
    save_file({"a": torch.from_numpy(ARRAY)}, tmp_path / "x.safetensors")
    file, _, _ = name.partition("#")
    (folder / file).symlink_to(tmp_path / file)
    with pytest.raises(BadData, match="symlink"):
        literal(folder=folder, file=name)


def test_a_file_without_a_folder():
    with pytest.raises(BadData, match="job folder"):
        literal(file="x.npy")


@pytest.mark.parametrize("data", [b64(ARRAY)[:-4], "!!!!", b64(np.zeros(7, np.float32))])
def test_bytes_that_are_no_tensor(data):
    with pytest.raises(BadData):
        literal(data_b64=data)


def test_a_shape_of_its_own_that_is_not_the_tensors():
    with pytest.raises(BadData, match=r"shape \[2, 3\], found \[6\]"):
        literal(data_b64=b64(ARRAY), shape=(6,))
