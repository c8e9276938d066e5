import pytest

from kbd.inbox.dtypes import DType

SIZES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}


def test_the_set_is_closed():
    assert {dtype.value: dtype.itemsize for dtype in DType} == SIZES


@pytest.mark.parametrize("dtype", DType)
def test_floating_types_have_no_bounds(dtype):
    assert dtype.is_floating is ("float" in dtype.value)
    assert (dtype.bounds is None) is dtype.is_floating


def test_bounds():
    assert DType.INT8.bounds == (-128, 127)
    assert DType.UINT8.bounds == (0, 255)
    assert DType.BOOL.bounds == (0, 1)
    assert DType.INT64.bounds == (-(2**63), 2**63 - 1)
