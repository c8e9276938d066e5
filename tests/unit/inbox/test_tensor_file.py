"""Headers as numpy and safetensors write them, and files that are neither."""

import contextlib
import json
import os

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save

from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_file import NoTensor, TensorHeader, read_header

NPY = b"\x93NUMPY\x01\x00"


def header_of(folder, content, name="x.npy"):
    path = folder / name.partition("#")[0]
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_header(descriptor, name)
    finally:
        os.close(descriptor)


def npy(array, folder):
    np.save(folder / "made.npy", array)
    return (folder / "made.npy").read_bytes()


def npy_header(text, magic=NPY):
    return magic + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "dtype", [dtype for dtype in DType if not dtype.startswith(("bfloat", "float8"))], ids=str
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)], ids=str)
def test_what_numpy_writes(tmp_path, dtype, shape):
    assert header_of(tmp_path, npy(np.zeros(shape, dtype.value), tmp_path)) == TensorHeader(shape, dtype)


@pytest.mark.parametrize("dtype", DType, ids=str)
def test_what_safetensors_writes(tmp_path, dtype):
    content = save({"w": torch.zeros((2, 3), dtype=getattr(torch, dtype)), "b": torch.zeros(1)}, {"by": "us"})
    assert header_of(tmp_path, content, "x.safetensors#w") == TensorHeader((2, 3), dtype)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.asfortranarray(np.zeros((2, 3))), DType.FLOAT64),
        (np.zeros((2, 3), ">f4"), ">f4"),
        (np.zeros((2, 3), ">i1"), DType.INT8),
        (np.zeros((2, 3), "c8"), "<c8"),
        (np.zeros((2, 3), "U2"), "<U2"),
        (np.zeros((2, 3), [("a", "f4")]), "a record"),
    ],
    ids=str,
)
def test_what_is_no_tensor_of_a_contract_has_its_own_word(tmp_path, array, dtype):
    assert header_of(tmp_path, npy(array, tmp_path)) == TensorHeader((2, 3), dtype)


def test_a_header_that_python_2_wrote(tmp_path):
    content = npy_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }\n")
    assert header_of(tmp_path, content + bytes(8)).shape == (2,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected a .npy file of numpy.save, found something else"),
        (b"PK\x03\x04garbage", "found something else"),
        (b"\x93NUMPY\x09\x00\x00\x00", "found something else"),
        (NPY, "it ends too early: expected 10 bytes or more, found 8"),
        (NPY + b"\xff\x00", "it ends too early: expected 265 bytes or more, found 10"),
        (NPY + b"\xff\xff" + bytes(70_000), "expected a header of at most 10000 bytes, found 65535"),
        (npy_header(b"{"), "its header is damaged"),
        (npy_header(b"{}"), "its header is damaged"),
        (npy_header(b"[1]"), "its header is damaged"),
        (npy_header(b"{'descr': '<f4', 'shape': (-1,)}"), "its header is damaged"),
        (npy_header(b"{'descr': '<f8', 'shape': (1000000,)}"), "it ends too early: expected 8000047 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_npy_file(tmp_path, content, said):
    with pytest.raises(NoTensor) as error:
        header_of(tmp_path, content)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "its header is damaged"),
        ({}, "expected a tensor 'w' in it, found none"),
        ({"__metadata__": {"w": "x"}, "b": 1, "c": 2}, "expected a tensor 'w' in it, found 'b', 'c'"),
        ({"w": 1}, "its header is damaged"),
        ({"w": {"shape": [True], "dtype": "F32", "data_offsets": [0, 4]}}, "its header is damaged"),
        ({"w": {"shape": [1], "dtype": "F32", "data_offsets": [0, 4]}}, "it ends too early"),
    ],
    ids=str,
)
def test_what_is_no_safetensors_file(tmp_path, told, said):
    header = json.dumps(told).encode()
    with pytest.raises(NoTensor) as error:
        header_of(tmp_path, len(header).to_bytes(8, "little") + header, "x.safetensors#w")
    assert said in str(error.value)


@given(st.binary(max_size=300), st.sampled_from(["x.npy", "x.safetensors#w"]))
@example(b"garbage and more of it", "x.safetensors#w")
@example(npy_header(b"(" * 5_000), "x.npy")
@example(npy_header(b"-" * 9_000 + b"1"), "x.npy")
@example((20_000).to_bytes(8, "little") + b"[" * 20_000, "x.safetensors#w")
def test_nothing_else_is_ever_raised(tmp_path_factory, content, name):
    with contextlib.suppress(NoTensor):
        header_of(tmp_path_factory.getbasetemp(), content, name)
