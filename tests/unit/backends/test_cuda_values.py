"""Scalars arrive as the kernel's parameter reads them; what does not fit is said, never cut off."""

import ctypes

import pytest
import torch

from kbd.backends.base import LaunchFailed
from kbd.backends.cuda_source import CudaParameter
from kbd.backends.cuda_values import packed
from kbd.inbox.contract import IOContract
from kbd.inbox.validation import validate


def pack(value, type_, passed_as=None):
    contract = validate(IOContract, {"args": [{"name": "a", "type": type_, "value": value}]}).bind({})
    parameters = [CudaParameter("p", is_pointer=False, passed_as=passed_as)]
    values, pointers = packed(contract, parameters, [value])
    assert pointers[0] == ctypes.addressof(values[0])
    return values[0]


@pytest.mark.parametrize(
    ("value", "type_", "passed_as", "kind"),
    [
        (5, "int", "c_int32", ctypes.c_int32),
        (5, "int", "c_uint64", ctypes.c_uint64),
        ((1 << 64) - 1, "int", "c_uint64", ctypes.c_uint64),
        (-3, "int", "c_int8", ctypes.c_int8),
        (5, "int", "c_float", ctypes.c_float),
        (0.5, "float", "c_double", ctypes.c_double),
        (True, "bool", "c_bool", ctypes.c_bool),
        (5, "int", None, ctypes.c_int64),
        (-5, "int", None, ctypes.c_int64),
        ((1 << 64) - 1, "int", None, ctypes.c_uint64),
        (1 << 31, "int", None, ctypes.c_int64),
        (0.5, "float", None, ctypes.c_float),
        (True, "bool", None, ctypes.c_int64),
        (3.0, "float", "c_int32", ctypes.c_int32),
    ],
)
def test_types(value, type_, passed_as, kind):
    found = pack(value, type_, passed_as)
    assert type(found) is kind
    assert found.value == value


@pytest.mark.parametrize(("passed_as", "bits"), [("half", 0x3E00), ("bfloat16", 0x3FC0)])
def test_floats_of_16_bits_are_passed_as_their_bits(passed_as, bits):
    assert pack(1.5, "float", passed_as).value == bits


@pytest.mark.parametrize("value", [5, -5, 127, True, 0])
@pytest.mark.parametrize("read_as", [ctypes.c_int8, ctypes.c_int16, ctypes.c_int32, ctypes.c_int64])
def test_a_parameter_of_unknown_size_reads_the_same_number(value, read_as):
    found = pack(value, "bool" if value is True else "int")
    assert ctypes.sizeof(found) == 8
    assert read_as.from_buffer(found).value == value


@pytest.mark.parametrize(("passed_as", "bits"), [("half", 0x7C00), ("bfloat16", 0x7F80)])
def test_floats_too_large_for_16_bits_are_infinite(passed_as, bits):
    assert pack(1e300, "float", passed_as).value == bits


@pytest.mark.parametrize(
    ("value", "type_", "passed_as"),
    [
        (1 << 31, "int", "c_int32"),
        (-1, "int", "c_uint32"),
        (300, "int", "c_uint8"),
        (0.5, "float", "c_int32"),
    ],
)
def test_what_does_not_fit(value, type_, passed_as):
    with pytest.raises(LaunchFailed, match=f"a = {value} does not fit the kernel's parameter"):
        pack(value, type_, passed_as)


def test_tensors_are_passed_by_address():
    spec = {"name": "x", "type": "tensor", "tensor_spec": {"shape": [4], "dtype": "float32"}}
    x = torch.ones(4)
    values, _ = packed(validate(IOContract, {"args": [spec]}).bind({}), None, [x])
    assert values[0].value == x.data_ptr()
