import pytest

from kbd.inbox.contract import IOContract
from kbd.inbox.input_agreement import disagreements
from kbd.inbox.validation import validate


def tensor(name, *shape, role="input", **spec):
    return {"name": name, "type": "tensor", "role": role, "tensor_spec": {"shape": list(shape), **spec}}


def scalar(name, value):
    return {"name": name, "type": "int", "value": value}


def bind(*args):
    return validate(IOContract, {"args": list(args)}).bind({})


JOB = (tensor("x", 4), tensor("y", 2, dtype="float16"), scalar("axis", 1))


@pytest.mark.parametrize(
    ("candidate", "pointers"),
    [
        ([tensor("a", 4), tensor("b", 2, dtype="float16"), tensor("out", 9, role="output")], []),
        (
            [
                tensor("out", 9, role="output"),
                tensor("a", 4),
                scalar("n", 3),
                tensor("b", 2, dtype="float16"),
            ],
            [],
        ),
        ([tensor("a", 4, role="inout"), tensor("b", 2, dtype="float16")], []),
        ([tensor("a", 4), tensor("b", 2, dtype="float16"), scalar("axis", 1)], []),
        ([tensor("a", 4)], ["/args"]),
        ([tensor("a", 4), tensor("b", 2, dtype="float16"), tensor("c", 2)], ["/args"]),
        (
            [tensor("o", 1, role="output"), tensor("a", 5), tensor("b", 2)],
            ["/args/1/tensor_spec/shape", "/args/2/tensor_spec/dtype"],
        ),
        ([tensor("a", 4, strides=[2]), tensor("b", 2, dtype="float16")], ["/args/0/tensor_spec/strides"]),
        ([tensor("a", 4, init={"kind": "ones"}), tensor("b", 2, dtype="float16")], ["/args/0/tensor_spec"]),
        ([tensor("a", 4), tensor("b", 2, dtype="float16"), scalar("axis", 0)], ["/args/2/value"]),
    ],
)
def test_a_candidate_takes_exactly_the_inputs_of_the_job(candidate, pointers):
    assert [problem.pointer for problem in disagreements(bind(*JOB), bind(*candidate))] == pointers
