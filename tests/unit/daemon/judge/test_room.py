"""What does not fit the host is known before any of it is made."""

import pytest

from kbd.daemon.judge import room
from kbd.daemon.judge.room import Announcements, TooLarge, require_room
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


def test_a_runner_cannot_have_made_more_than_it_may_use():
    announcements = Announcements("device", runner_bytes=1000)
    assert announcements.shortage("inputs", 1000) is None
    assert announcements.shortage("outputs", 1000) is None, "each may be all that it has at the time"
    found = announcements.shortage("outputs", 1001)
    assert (found.where, found.needed_bytes, found.limit_bytes) == ("device", 1001, 1000)


def test_all_that_is_held_of_it_must_fit_the_host():
    announcements = Announcements(host_bytes=10_000)
    assert announcements.shortage("inputs", 1000) is None
    found = announcements.shortage("outputs", 501)
    assert (found.where, found.needed_bytes, found.limit_bytes) == ("host", 8 * 1000 + 4 * 501, 10_000)


def test_the_next_inputs_take_the_place_of_those_before():
    announcements = Announcements(host_bytes=8_000)
    assert [announcements.shortage("inputs", 1000) for _ in range(3)] == [None] * 3


def test_without_bounds_everything_is_believed():
    assert Announcements().shortage("inputs", 1 << 60) is None
