"""What outputs hold before a kernel runs: their declared content, or nothing that could pass for an answer."""

import pytest

from kbd.daemon.executor.runner_protocol import Okay
from kbd.daemon.judge.lending import Lender
from kbd.daemon.judge.output_buffers import buffer_metas, freshen
from kbd.inbox.contract import IOContract
from kbd.inbox.validation import validate


class Link:
    """A runner that maps nothing."""

    def ask(self, question, answer, limit_s, descriptors=()):
        return Okay()


@pytest.fixture
def lender():
    lender = Lender(Link(), "cpu", 60)
    yield lender
    lender.release()


def contract(**spec):
    tensor = {"shape": [2, 3], "dtype": "float32"}
    args = [
        {"name": "x", "type": "tensor", "tensor_spec": tensor | {"init": {"kind": "ones"}}},
        {"name": "state", "type": "tensor", "role": "inout", "tensor_spec": tensor},
        {"name": "n", "type": "int", "value": 3},
        {"name": "y", "type": "tensor", "role": "output", "tensor_spec": tensor | spec},
        {"name": "z", "type": "tensor", "role": "output", "tensor_spec": {"shape": [4], "dtype": "int8"}},
    ]
    return validate(IOContract, {"args": args}).bind({})


@pytest.mark.parametrize(
    ("init", "dtype", "values"),
    [
        ({"kind": "zeros"}, "float32", [[0, 0, 0], [0, 0, 0]]),
        ({"kind": "ones"}, "bfloat16", [[1, 1, 1], [1, 1, 1]]),
        ({"kind": "full", "fill_value": -2}, "int32", [[-2, -2, -2], [-2, -2, -2]]),
        ({"kind": "full", "fill_value": 0.5}, "float8_e4m3fn", [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]),
        ({"kind": "full", "fill_value": True}, "bool", [[True, True, True], [True, True, True]]),
        ({"kind": "arange"}, "int64", [[0, 1, 2], [3, 4, 5]]),
        ({"kind": "eye"}, "float64", [[1, 0, 0], [0, 1, 0]]),
    ],
    ids=str,
)
def test_a_declared_content_is_there_before_every_run(lender, init, dtype, values):
    bound = contract(init=init, dtype=dtype)
    buffers = lender.lend(buffer_metas(bound))
    for _ in range(2):
        freshen(buffers, bound)
        declared, undeclared = buffers.tensors
        assert declared.tolist() == values
        assert not (undeclared == 0).any()
        declared.zero_()  # as a kernel leaves it
        undeclared.zero_()


def test_strides_are_kept_and_gaps_are_no_part_of_it(lender):
    bound = contract(init={"kind": "arange"}, strides=[1, 4])
    buffers = lender.lend(buffer_metas(bound))
    freshen(buffers, bound)
    assert buffers.tensors[0].stride() == (1, 4)
    assert buffers.tensors[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert buffers.trespassed() == []


@pytest.mark.parametrize("spec", [{}, {"init": {"kind": "randn"}}, {"init": {"kind": "uniform"}}], ids=str)
def test_otherwise_there_is_nothing_useful(lender, spec):
    bound = contract(**spec)
    buffers = lender.lend(buffer_metas(bound))
    freshen(buffers, bound)
    assert buffers.tensors[0].isnan().all()


def test_a_kernel_without_a_contract_has_no_buffers(lender):
    buffers = lender.lend([])
    freshen(buffers, None)
    assert buffers.tensors == []
