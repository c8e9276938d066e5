import pytest

from kbd.inbox.arg_spec import ArgSpec
from kbd.inbox.errors import InvalidJob
from kbd.inbox.validation import validate

SPEC = {"shape": [2]}


@pytest.mark.parametrize(
    "document",
    [
        {"name": "x", "type": "tensor", "tensor_spec": SPEC},
        {"name": "y", "type": "tensor", "role": "output", "tensor_spec": SPEC, "value": None},
        {"name": "n", "type": "int", "value": 2**63},
        {"name": "n", "type": "int", "value": "M * N"},
        {"name": "a", "type": "float", "value": 1},
        {"name": "a", "type": "float", "value": -0.5, "is_meta": True},
        {"name": "s", "type": "str", "value": "gelu"},
        {"name": "b", "type": "bool", "value": False},
    ],
)
def test_accepted(document):
    arg = validate(ArgSpec, document)
    assert ArgSpec.model_validate_json(arg.model_dump_json()) == arg


def test_the_role_is_input_unless_given():
    assert validate(ArgSpec, {"name": "n", "type": "int", "value": 1}).role == "input"


@pytest.mark.parametrize(
    ("document", "pointer", "message"),
    [
        ({"type": "int", "value": 1}, "/name", "missing"),
        ({"name": "2x", "type": "int", "value": 1}, "/name", "text like"),
        ({"name": "n", "value": 1}, "/type", "missing: expected tensor, int"),
        ({"name": "n", "type": "integer", "value": 1}, "/type", "'tensor', 'int'"),
        ({"name": "n", "type": "int"}, "/value", "a scalar needs a value"),
        ({"name": "n", "type": "int", "value": True}, "/value", "no value for type int"),
        ({"name": "n", "type": "int", "value": 1.0}, "/value", "no value for type int"),
        ({"name": "n", "type": "int", "value": 2**64}, "/value", "64 bits"),
        ({"name": "n", "type": "int", "value": "M /"}, "/value", "cannot be read: column 3"),
        ({"name": "n", "type": "int", "value": [1]}, "/value", "a list of 1"),
        ({"name": "a", "type": "float", "value": "1"}, "/value", "expected a number, found the text"),
        ({"name": "s", "type": "str", "value": 1}, "/value", "expected text"),
        ({"name": "b", "type": "bool", "value": 1}, "/value", "true or false"),
        ({"name": "n", "type": "int", "value": 1, "tensor_spec": SPEC}, "/tensor_spec", "is no tensor"),
        (
            {"name": "n", "type": "int", "value": 1, "role": "output"},
            "/role",
            "only a tensor can be an output",
        ),
        ({"name": "x", "type": "tensor"}, "/tensor_spec", "needs its shape and dtype"),
        ({"name": "x", "type": "tensor", "role": "output"}, "/tensor_spec", "an output needs a shape"),
        ({"name": "x", "type": "tensor", "tensor_spec": SPEC, "value": 1}, "/value", "a tensor has no value"),
        ({"name": "x", "type": "tensor", "tensor_spec": SPEC, "is_meta": True}, "/is_meta", "only scalars"),
        ({"name": "x", "type": "tensor", "tensor_spec": SPEC, "role": "out"}, "/role", "'input', 'output'"),
    ],
)
def test_refused(document, pointer, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        validate(ArgSpec, document)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


def test_sizes_have_their_pointers():
    arg = validate(
        ArgSpec, {"name": "x", "type": "tensor", "tensor_spec": {"shape": ["M", 2], "strides": ["N", 1]}}
    )
    assert list(arg.sizes()) == [
        ("/tensor_spec/shape/0", "M"),
        ("/tensor_spec/shape/1", 2),
        ("/tensor_spec/strides/0", "N"),
        ("/tensor_spec/strides/1", 1),
    ]
