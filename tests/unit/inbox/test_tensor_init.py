import pytest

from kbd.inbox.dtypes import DType
from kbd.inbox.errors import InvalidJob
from kbd.inbox.tensor_init import InitKind, TensorInit
from kbd.inbox.validation import validate


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": "randn", "seed": 42, "mean": 1, "std": 0},
        {"kind": "uniform"},
        {"kind": "uniform", "low": -1, "high": 1.5},
        {"kind": "randint", "high": 10},
        {"kind": "full", "fill_value": 2.0},
        {"kind": "full", "fill_value": True},
        {"kind": "arange", "start": 5, "step": -1},
        {"kind": "zeros", "seed": 1},
        {"kind": "randn", "low": None},
    ],
)
def test_accepted(document):
    init = validate(TensorInit, document)
    assert TensorInit.model_validate_json(init.model_dump_json()) == init


def test_whole_numbers_stay_whole():
    init = validate(TensorInit, {"kind": "full", "fill_value": 2**60 + 1})
    assert init.fill_value == 2**60 + 1


@pytest.mark.parametrize(
    ("document", "pointer", "message"),
    [
        ({"kind": "normal"}, "/kind", "expected 'randn'"),
        ({"kind": "full"}, "/fill_value", "missing"),
        ({"kind": "randint"}, "/high", "missing"),
        (
            {"kind": "randint", "low": 5, "high": 5},
            "/high",
            "empty range: expected a number greater than low = 5",
        ),
        ({"kind": "randint", "high": 2.5}, "/high", "a whole number for randint"),
        ({"kind": "uniform", "low": 2, "high": 1}, "/high", "empty range"),
        ({"kind": "uniform", "low": 1}, "/high", "empty range"),
        ({"kind": "randn", "std": -1}, "/std", "negative"),
        ({"kind": "arange", "step": 0}, "/step", "use kind full"),
        ({"kind": "randn", "high": 1}, "/high", "means nothing for kind randn: expected mean, std"),
        ({"kind": "zeros", "fill_value": 1}, "/fill_value", "expected only a seed"),
        ({"kind": "randn", "mean": "0"}, "/mean", "expected a number"),
        ({"kind": "randn", "mean": True}, "/mean", "expected a number"),
        ({"kind": "randn", "seed": -1}, "/seed", "at least 0"),
        ({"kind": "randn", "seed": 1.5}, "/seed", "a whole number"),
        ({"kind": "full", "fill_value": "1"}, "/fill_value", "expected a number"),
    ],
)
def test_refused(document, pointer, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        validate(TensorInit, document)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


@pytest.mark.parametrize(
    ("document", "dtype", "pointer"),
    [
        ({"kind": "randn"}, "int32", "/kind"),
        ({"kind": "uniform"}, "bool", "/kind"),
        ({"kind": "permutation"}, "bool", "/kind"),
        ({"kind": "full", "fill_value": 300}, "uint8", "/fill_value"),
        ({"kind": "full", "fill_value": 0.5}, "int32", "/fill_value"),
        ({"kind": "full", "fill_value": -1}, "uint8", "/fill_value"),
        ({"kind": "randint", "high": 300}, "int8", "/high"),
        ({"kind": "randint", "low": -200, "high": 2}, "int8", "/low"),
        ({"kind": "arange", "start": 0.5}, "int64", "/start"),
    ],
)
def test_content_that_a_dtype_cannot_hold(document, dtype, pointer):
    init = validate(TensorInit, document)
    assert [problem.pointer for problem in init.dtype_problems(DType(dtype))] == [pointer]


@pytest.mark.parametrize(
    ("document", "dtype"),
    [
        ({"kind": "randint", "high": 256}, "uint8"),
        ({"kind": "randint", "low": 0, "high": 2}, "bool"),
        ({"kind": "full", "fill_value": 2.0}, "int32"),
        ({"kind": "full", "fill_value": True}, "bool"),
        ({"kind": "randn"}, "float8_e5m2"),
        ({"kind": "eye"}, "int64"),
    ],
)
def test_content_that_a_dtype_can_hold(document, dtype):
    assert list(validate(TensorInit, document).dtype_problems(DType(dtype))) == []


def test_every_kind_knows_whether_a_seed_matters():
    random = {kind.value for kind in InitKind if kind.is_random}
    assert random == {"randn", "uniform", "randint", "permutation"}
