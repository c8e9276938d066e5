"""A broken data file is the job's fault and never the judge's end."""

import io

import numpy as np
import pytest
import torch

from kbd.daemon.judge.draw import BadData, draw
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_data import TensorData


def npz():
    file = io.BytesIO()
    np.savez(file, a=np.zeros(2))
    return file.getvalue()


def strings():
    file = io.BytesIO()
    np.save(file, np.array(["a", "b"]))
    return file.getvalue()


def huge():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npy", b""),
        ("x.npy", strings()),
        ("x.npy", npz()),
        ("x.npy", b"PK\x03\x04garbage"),
        ("x.npy", huge()),
        ("x.safetensors#a", b"garbage"),
        ("x.safetensors#a", b""),
    ],
    ids=["empty", "strings", "npz", "bad zip", "huge", "safetensors", "empty safetensors"],
)
def test_a_file_that_is_no_array_is_bad_data(tmp_path, name, content):
    (tmp_path / name.partition("#")[0]).write_bytes(content)
    tensor = BoundTensor(shape=(2,), dtype=DType.FLOAT32, data=TensorData(file=name))
    with pytest.raises(BadData):
        draw(tensor, 0, torch.device("cpu"), tmp_path)


def test_a_fortran_ordered_file_gives_a_contiguous_tensor(tmp_path):
    np.save(tmp_path / "x.npy", np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)))
    tensor = BoundTensor(shape=(2, 3), dtype=DType.FLOAT32, data=TensorData(file="x.npy"))
    assert draw(tensor, 0, torch.device("cpu"), tmp_path).is_contiguous()
