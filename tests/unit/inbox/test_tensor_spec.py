import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.tensor_init import InitKind, TensorInit
from kbd.inbox.tensor_spec import TensorSpec, content_extremes
from kbd.inbox.validation import validate


@pytest.mark.parametrize(
    "document",
    [
        {"shape": []},
        {"shape": [2, "N", "M * 2"], "dtype": "bfloat16", "init": {"kind": "uniform"}},
        {"shape": [2, 2], "strides": [1, 2], "tolerance": {"atol": 0.1}},
        {"shape": [3], "dtype": "uint8", "data": {"data_b64": "AAAA"}},
        {"shape": ["N"], "data": {"file": "x.npy"}},
        {"shape": [0]},
    ],
)
def test_accepted(document):
    spec = validate(TensorSpec, document)
    assert TensorSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("document", "pointer", "message"),
    [
        ({"dtype": "float32"}, "/shape", "missing: expected a list of sizes"),
        ({"shape": 4}, "/shape", "a list"),
        ({"shape": [-1]}, "/shape/0", "negative size"),
        ({"shape": [1.0]}, "/shape/0", "a whole number, an axis"),
        ({"shape": ["N /"]}, "/shape/0", "column 3"),
        ({"shape": [2], "dtype": "float31"}, "/dtype", "did you mean float32"),
        ({"shape": [2], "init": {}, "data": {"file": "x.npy"}}, "", "either init or data"),
        ({"shape": [2], "dtype": "int32", "init": {"kind": "randn"}}, "/init/kind", "needs a floating dtype"),
        ({"shape": [2], "init": {"kind": "eye"}}, "/init/kind", "two dimensions"),
        ({"shape": [], "init": {"kind": "permutation"}}, "/init/kind", "needs a dimension"),
        ({"shape": [2, 2], "strides": [1]}, "/strides", "one per dimension"),
        ({"shape": [2], "data": {"data_b64": "AAAA"}}, "/data/data_b64", "expected 8 bytes, found 3"),
        (
            {"shape": [2], "data": {"data_b64": "AAAA", "dtype": "int8", "shape": [3]}},
            "/data/dtype",
            "float32",
        ),
        ({"shape": ["N"], "data": {"data_b64": "AAAA"}}, "/shape", "literal data has one size"),
        (
            {"shape": [4], "dtype": "uint8", "data": {"data_b64": "AAAA", "shape": [3]}},
            "/data/shape",
            r"\[4\]",
        ),
    ],
)
def test_refused(document, pointer, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        validate(TensorSpec, document)
    assert pointer in [problem.pointer for problem in caught.value.problems]


def test_several_mistakes_in_one_tensor_are_named_at_once():
    with pytest.raises(InvalidJob) as caught:
        validate(TensorSpec, {"shape": [-1, 2], "strides": [1], "dtype": "int8", "init": {"kind": "randn"}})
    assert [problem.pointer for problem in caught.value.problems] == ["/init/kind", "/shape/0", "/strides"]


@pytest.mark.parametrize(
    ("init", "shape", "extremes"),
    [
        (TensorInit(), (10,), (0, 0)),
        (TensorInit(kind=InitKind("permutation")), (3, 10), (0, 9)),
        (TensorInit(kind=InitKind("arange")), (2, 5), (0, 9)),
        (TensorInit(kind=InitKind("arange"), start=4, step=-2), (4,), (-2, 4)),
        (TensorInit(kind=InitKind("arange")), (), (0, 0)),
    ],
    ids=str,
)
def test_what_counting_contents_reach(init, shape, extremes):
    assert content_extremes(init, shape) == extremes
