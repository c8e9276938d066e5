import pytest

from kbd.inbox.contract import IOContract, axes_of
from kbd.inbox.errors import InvalidJob
from kbd.inbox.validation import validate


def tensor(name, *shape, role="input", **spec):
    return {"name": name, "type": "tensor", "role": role, "tensor_spec": {"shape": list(shape), **spec}}


def integer(name, value, **fields):
    return {"name": name, "type": "int", "value": value, **fields}


def contract(*args, **launch):
    document = {"args": list(args)}
    return validate(IOContract, {**document, "launch": launch} if launch else document)


SOFTMAX = contract(
    tensor("x", "M", "N", dtype="float16"),
    tensor("y", "M", "N", role="output", dtype="float16"),
    integer("N", "N"),
    integer("rows", "M // 2"),
    integer("BLOCK", 128, is_meta=True),
    grid=["ceildiv(N, BLOCK)", "rows"],
    block="BLOCK",
)


def problems_of(error):
    return [(problem.pointer, problem.message) for problem in error.value.problems]


def test_binding_gives_numbers():
    bound = SOFTMAX.bind({"M": 8, "N": 1000})
    assert bound.axes == {"M": 8, "N": 1000}
    assert [arg.tensor.shape for arg in bound.tensors] == [(8, 1000), (8, 1000)]
    assert [arg.value for arg in bound.args] == [None, None, 1000, 4, 128]
    assert bound.launch is not None
    assert bound.launch.grid == (8, 4, 1)
    assert bound.launch.block == (128, 1, 1)


def test_a_contract_survives_json():
    assert IOContract.model_validate_json(SOFTMAX.model_dump_json()) == SOFTMAX


def test_what_the_kernel_itself_chooses_is_no_axis():
    output = tensor("y", "N", role="output")
    tuned = contract(output, grid="ceildiv(N, BLOCK)", tuned=["BLOCK"])
    assert tuned.axes == {"N"}
    assert tuned.bind({"N": 100}).launch.tuned_grid.under({"BLOCK": 32}) == (4, 1, 1)
    assert contract(output, grid="ceildiv(N, BLOCK)").launch_axes == {"BLOCK"}
    with pytest.raises(InvalidJob, match="BLOCK is given, and is to be chosen"):
        contract(output, integer("BLOCK", 32), grid="ceildiv(N, BLOCK)", tuned=["BLOCK"])


def test_axes_are_what_arguments_leave_open():
    assert SOFTMAX.axes == {"M", "N"}
    assert contract(tensor("x", 4), integer("n", 4), grid="ceildiv(n, 2) * K").axes == {"K"}
    assert axes_of([SOFTMAX, None, contract(tensor("x", "K"))]) == {"M", "N", "K"}
    assert axes_of([]) == frozenset()


def test_surplus_axes_are_ignored():
    assert SOFTMAX.bind({"M": 2, "N": 2, "K": 5}).axes == {"M": 2, "N": 2}


def test_a_literal_argument_may_be_used_in_a_shape():
    bound = contract(tensor("x", "N * 2"), integer("N", 3)).bind({})
    assert bound.tensors[0].tensor.shape == (6,)


def test_a_whole_number_for_a_float_is_passed_as_a_float():
    bound = contract({"name": "alpha", "type": "float", "value": 2}).bind({})
    assert type(bound.args[0].value) is float


def test_an_axis_that_is_not_bound():
    with pytest.raises(InvalidJob) as caught:
        SOFTMAX.bind({"M": 2})
    assert {pointer for pointer, _ in problems_of(caught)} == {
        "/args/0/tensor_spec/shape/1",
        "/args/1/tensor_spec/shape/1",
        "/args/2/value",
    }


def test_an_axis_that_is_bound_twice():
    with pytest.raises(InvalidJob, match="axis BLOCK is bound twice"):
        SOFTMAX.bind({"M": 2, "N": 2, "BLOCK": 64})
    assert SOFTMAX.bound_twice(["M", "BLOCK"]) == ["BLOCK"]


@pytest.mark.parametrize(
    ("args", "launch", "pointer", "message"),
    [
        ([integer("n", 1), integer("n", 2)], {}, "/args/1/name", "given twice"),
        ([tensor("x", "N"), integer("N", "N * 2")], {}, "/args/1/value", "bound twice"),
        ([integer("n", 5)], {"grid": "n - 5"}, "/launch/grid/x", "the grid is out of range"),
        ([integer("n", 2048)], {"block": "n"}, "/launch/block/x", "the block is out of range"),
        ([tensor("y", 0, role="output")], {}, "/args/0/tensor_spec/shape", "without elements"),
        ([tensor("x", 1 << 30, 1 << 30)], {}, "/args/0/tensor_spec/shape", "larger than any device"),
        ([tensor("x", 1 << 50)], {}, "/args/0/tensor_spec/shape/0", "out of range"),
        (
            [tensor("y", 2, 2, role="output", strides=[0, 1])],
            {},
            "/args/0/tensor_spec/strides",
            "lie on each other",
        ),
        ([tensor("x", 2, dtype="int32")], {}, "/args/0/tensor_spec/init", "needs a content"),
        (
            [tensor("x", 1000, dtype="int8", init={"kind": "permutation"})],
            {},
            "/args/0/tensor_spec/init/kind",
            "leaves the range of int8",
        ),
        (
            [tensor("x", 300, dtype="uint8", init={"kind": "arange"})],
            {},
            "/args/0/tensor_spec/init/kind",
            "leaves the range of uint8",
        ),
    ],
)
def test_what_is_wrong_is_seen_when_it_is_built(args, launch, pointer, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        contract(*args, **launch)
    assert [found for found, _ in problems_of(caught)] == [pointer]


def test_an_argument_may_repeat_its_axis():
    assert contract(tensor("x", "N"), integer("N", " N ")).bind({"N": 7}).args[1].value == 7


@pytest.mark.parametrize("role", ["input", "output", "inout"])
@pytest.mark.parametrize(
    ("shape", "strides"),
    [((4, 4), (0, 1)), ((4, 4), (1, 1)), ((4, 4), (3, 1)), ((4, 1, 4), (1, 9, 2)), ((2,), (0,))],
)
def test_elements_that_lie_on_each_other_cannot_be_written(role, shape, strides):
    with pytest.raises(InvalidJob, match=f"elements of an {role} lie on each other") as caught:
        contract(tensor("x", *shape, role=role, strides=list(strides)))
    assert [found for found, _ in problems_of(caught)] == ["/args/0/tensor_spec/strides"]


def test_overlaps_are_seen_once_the_axes_are_known():
    bound = contract(tensor("x", "M", "N", strides=["N - 1", 1]))
    assert bound.bind({"M": 1, "N": 4})
    with pytest.raises(InvalidJob, match="lie on each other"):
        bound.bind({"M": 2, "N": 4})


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((1, 4), (0, 1)),
        ((4, 1), (1, 1)),
        ((1, 1), (0, 0)),
        ((0, 4), (0, 0)),
        ((4, 0), (0, 1)),
        ((), ()),
        ((4, 4), (1, 4)),
        ((4, 4), (9, 2)),
    ],
)
def test_a_stride_over_one_element_or_none_may_be_anything(shape, strides):
    assert contract(tensor("x", *shape, strides=list(strides))).bind({})


def test_the_contents_of_an_output_are_not_checked():
    assert contract(tensor("y", 2, dtype="int32", role="output")).bind({})


def test_arguments_are_needed():
    with pytest.raises(InvalidJob, match="/args: a required field is missing"):
        validate(IOContract, {"launch": {"grid": 1}})
