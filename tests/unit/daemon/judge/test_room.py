"""What does not fit the host is known before any of it is made."""

import pytest

from kbd.daemon.judge import room
from kbd.daemon.judge.room import TooLarge, require_room
from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_data import TensorData
from kbd.inbox.tensor_init import InitKind, TensorInit


def needed(monkeypatch, *args, compared=True):
    monkeypatch.setattr(room, "host_memory_bytes", lambda: -1)
    with pytest.raises(TooLarge) as caught:
        require_room(BoundContract(axes={}, args=args), compared=compared)
    return caught.value.needed_bytes


def tensor(name="x", role="input", shape=(100,), dtype=DType.FLOAT32, **fields):
    return BoundArg(
        name=name, type="tensor", role=role, tensor=BoundTensor(shape=shape, dtype=dtype, **fields)
    )


def test_two_kernels_hold_them_at_two_places_beside_the_judge(monkeypatch):
    assert needed(monkeypatch, tensor()) == 5 * 400
    assert needed(monkeypatch, tensor(), compared=False) == 2 * 400


def test_outputs_count_too(monkeypatch):
    assert needed(monkeypatch, tensor("x"), tensor("y", "output"), tensor("z", "inout")) == 5 * 1200


def test_gaps_count_too(monkeypatch):
    assert needed(monkeypatch, tensor(shape=(2, 2), strides=(1000, 1))) == 5 * 4 * 1002


def test_narrow_formats_are_drawn_in_wide_ones(monkeypatch):
    ones = TensorInit(kind=InitKind.ONES)
    assert needed(monkeypatch, tensor(dtype=DType.BOOL, init=ones)) == 5 * 100 + 800
    assert needed(monkeypatch, tensor(dtype=DType.BOOL, data=TensorData(file="x.npy"))) == 5 * 100


def test_what_just_fits_is_let_through(monkeypatch):
    monkeypatch.setattr(room, "host_memory_bytes", lambda: 2000)
    require_room(BoundContract(axes={}, args=(tensor(),)), compared=True)
    with pytest.raises(TooLarge, match="take 2020 bytes while they are judged, the host has 2000"):
        require_room(BoundContract(axes={}, args=(tensor(shape=(101,)),)), compared=True)
