"""Where inputs come from, and that both kernels get the same ones."""

import json

import pytest
import torch

from kbd.daemon.executor.protocol import WorkloadPlan
from kbd.daemon.judge.draw import BadData
from kbd.daemon.judge.inputs import ContractInputs, ModuleInputs, input_source
from kbd.daemon.runner.values import unpack
from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.contract import IOContract
from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_init import InitKind, TensorInit

CPU = torch.device("cpu")


def tensor(name="x", role="input", shape=(4,), dtype=DType.FLOAT32, **init):
    content = TensorInit(**init) if init else None
    return BoundArg(
        name=name, type="tensor", role=role, tensor=BoundTensor(shape=shape, dtype=dtype, init=content)
    )


def scalar(name, value):
    return BoundArg(name=name, type=type(value).__name__, role="input", value=value)


def contract(*args):
    return BoundContract(axes={}, args=args)


def source(inputs, candidate=None, reference=None):
    plan = WorkloadPlan(name="w", inputs=inputs, candidate=candidate or inputs, reference=reference or inputs)
    return ContractInputs(plan, inputs, CPU, None)


def arguments(given):
    return unpack(given.tree, given.tensors)


def same(left, right):
    return all(torch.equal(*pair) for pair in zip(left.tensors, right.tensors, strict=True))


# --- seeds ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_inputs_and_another_others():
    inputs = source(contract(tensor("x"), tensor("y")))
    drawn = inputs.draw(5, first=False)
    assert same(drawn.candidate, inputs.draw(5, first=False).candidate)
    assert not same(drawn.candidate, inputs.draw(6, first=False).candidate)


def test_each_argument_has_a_seed_of_its_own():
    first, second = source(contract(tensor("x"), tensor("y"))).draw(5, first=False).candidate.tensors
    assert not torch.equal(first, second)


def test_a_seed_of_the_contract_counts_in_the_first_trial_alone():
    inputs = source(contract(tensor("x", kind=InitKind.RANDN, seed=42)))
    expected = torch.randn(4, generator=torch.Generator().manual_seed(42))
    assert torch.equal(inputs.draw(5, first=True).candidate.tensors[0], expected)
    assert same(inputs.draw(5, first=True).candidate, inputs.draw(6, first=True).candidate)
    assert not same(inputs.draw(5, first=False).candidate, inputs.draw(5, first=True).candidate)
    assert not same(inputs.draw(5, first=False).candidate, inputs.draw(6, first=False).candidate)


def test_seed_zero_of_the_contract_is_a_seed():
    inputs = source(contract(tensor("x", kind=InitKind.RANDN, seed=0)))
    assert same(inputs.draw(5, first=True).candidate, inputs.draw(6, first=True).candidate)


def test_one_seeded_argument_does_not_fix_the_others():
    inputs = source(contract(tensor("x", kind=InitKind.RANDN, seed=42), tensor("y")))
    one, other = (inputs.draw(seed, first=True).candidate.tensors for seed in (5, 6))
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])


# --- two contracts ----------------------------------------------------------------------------------


def test_tensors_are_matched_by_position_and_scalars_by_contract():
    owner = contract(tensor("a"), scalar("n", 4), tensor("b"))
    called = contract(tensor("p"), tensor("q"), tensor("out", role="output"), scalar("scale", 0.5))
    drawn = source(owner, candidate=called).draw(1, first=False)
    reference, candidate = arguments(drawn.reference), arguments(drawn.candidate)
    assert [type(value) for value in reference] == [torch.Tensor, int, torch.Tensor]
    assert [type(value) for value in candidate] == [torch.Tensor, torch.Tensor, float]
    assert candidate[0] is reference[0]
    assert candidate[1] is reference[2]
    assert (reference[1], candidate[2]) == (4, 0.5)
    assert drawn.names == ["p", "q"]


def test_outputs_and_constants_are_not_passed():
    constant = BoundArg(name="BLOCK", type="int", role="input", is_meta=True, value=64)
    drawn = source(contract(tensor("x"), tensor("y", role="output"), constant)).draw(1, first=False)
    assert len(arguments(drawn.candidate)) == 1
    assert drawn.may_change == frozenset()


def test_inout_tensors_may_change_in_the_candidate():
    owner = contract(tensor("a"), tensor("b"), tensor("c"))
    called = contract(tensor("p"), tensor("out", role="output"), tensor("q", role="inout"), tensor("r"))
    drawn = source(owner, candidate=called).draw(1, first=False)
    assert drawn.may_change == {1}
    assert [drawn.names[place] for place in drawn.may_change] == ["q"]


@pytest.mark.parametrize(
    ("kind", "pinned"), [(InitKind.RANDN, False), (InitKind.ZEROS, True), (InitKind.ARANGE, True)]
)
def test_inputs_that_no_seed_can_change_are_pinned(kind, pinned):
    assert source(contract(tensor("x", kind=kind))).pinned is pinned


# --- modules ----------------------------------------------------------------------------------------


@pytest.fixture
def modules(make_kernel, make_session, document):
    """A session without a contract; `owners` say which kernels have a get_inputs()."""

    def build(*owners, lone=False):
        kernels = {role: make_kernel(role, lambda x: x) for role in ("candidate", "reference")}
        for role in owners:
            kernels[role].makes_inputs = True
        job = document(io=None, workloads=None, **({"reference": None} if lone else {}))
        return make_session(kernels["candidate"], None if lone else kernels["reference"], job)

    return build


def test_the_reference_makes_the_inputs(modules):
    session = modules("candidate", "reference")
    inputs = input_source(session, session.findings[0].plan)
    assert isinstance(inputs, ModuleInputs)
    drawn = inputs.draw(5, first=True)
    assert drawn.candidate is drawn.reference
    assert drawn.names == ["input0"]
    assert not inputs.pinned
    assert session.reference.verbs == ["make_inputs"]
    assert session.candidate.verbs == []


def test_a_candidate_never_makes_the_inputs_where_there_is_a_reference(modules):
    session = modules("candidate")
    with pytest.raises(BadData, match=r"get_inputs\(\) in the reference"):
        input_source(session, session.findings[0].plan)


def test_a_lone_candidate_makes_its_own(modules):
    session = modules("candidate", lone=True)
    input_source(session, session.findings[0].plan).draw(5, first=True)
    assert session.candidate.verbs == ["make_inputs"]


def test_nothing_that_makes_inputs(modules):
    session = modules(lone=True)
    with pytest.raises(BadData, match="expected an `io` contract"):
        input_source(session, session.findings[0].plan)


def test_a_contract_comes_before_any_module(make_kernel, make_session):
    kernels = [make_kernel(role, lambda x: x) for role in ("candidate", "reference")]
    for kernel in kernels:
        kernel.makes_inputs = True
    session = make_session(*kernels)
    assert isinstance(input_source(session, session.findings[0].plan), ContractInputs)


def test_elements_drawn_independently_change_places(cpu_device):
    tensors = [
        {"shape": [40], "dtype": "float32", "init": {"kind": "randn"}},
        {"shape": [40], "dtype": "float8_e4m3fn", "init": {"kind": "uniform"}},
        {"shape": [40], "dtype": "int16", "init": {"kind": "randint", "high": 99}},
        {"shape": [40], "dtype": "int64", "init": {"kind": "permutation"}},
        {"shape": [40], "dtype": "float32", "init": {"kind": "arange"}},
        {"shape": [2], "dtype": "float32", "init": {"kind": "randn"}},
        {"shape": [20], "dtype": "float32", "strides": [3], "init": {"kind": "randn"}},
    ]
    args = [{"name": f"x{n}", "type": "tensor", "tensor_spec": spec} for n, spec in enumerate(tensors)]
    bound = IOContract.model_validate_json(json.dumps({"args": args})).bind({})
    source = ContractInputs(WorkloadPlan(name="w", axes={}, inputs=bound), bound, cpu_device, None)
    before = source.draw(5, first=True)
    after = source.altered(before)
    for number, (old, new) in enumerate(zip(before.candidate.tensors, after.candidate.tensors, strict=True)):
        assert (new.shape, new.dtype, new.stride()) == (old.shape, old.dtype, old.stride())
        assert new.double().sort().values.tolist() == old.double().sort().values.tolist()
        assert torch.equal(new.double(), old.double()) == (number in {3, 4, 5})
        assert (new[0].item(), new[-1].item()) == (old[0].item(), old[-1].item())


def test_nobody_knows_which_elements_of_a_modules_inputs_may_change_places(make_kernel):
    source = ModuleInputs(make_kernel("reference", lambda x: x))
    assert source.altered(source.draw(1, first=False)) is None
