"""A kernel in a real runner while it is timed."""

import pytest
import torch

from kbd.daemon.executor.protocol import StageLimits
from kbd.daemon.executor.runner_protocol import Okay, SetsBound
from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.judge.hosted_kernel import HostedKernel, InputSet
from kbd.daemon.judge.runner_link import Deadline, RunnerFailed, RunnerForged, RunnerLink
from kbd.daemon.judge.timed_kernel import SetsPlan, TimedKernel
from kbd.daemon.runner.values import pack
from kbd.inbox.manifest import KernelCode

COUNT = 5
LIMITS = StageLimits(load_s=60, correctness_s=60, timing_s=60, timing_budget_s=60)


@pytest.fixture
def timed(host):
    """A kernel with sets 0 … 4 of one tensor each, filled with the number of the set."""

    def build(source, one=None, *, written=(), others=()):
        one = torch.zeros(3) if one is None else one
        hosted = host()
        hosted.load(KernelCode(kernel_type="torch", source_code="import torch\n" + source), (), 11, None)
        inputs = InputSet(*pack([one, *others]))
        hosted.bind(0, inputs)
        hosted.run(0)
        kernel = TimedKernel(hosted, SetsPlan(inputs, (), written, COUNT))
        for number in range(COUNT):
            kernel.inputs.columns[0][number].fill_(number)
        kernel.bind(0)
        kernel.bound()
        return kernel

    return build


def run(kernel, *bursts, keep=True):
    kernel.start_preparing(bursts, "eager", keep=keep)
    assert kernel.prepared().method == "eager"
    with kernel.listening():
        return [kernel.burst(index, keep=keep) for index, _ in enumerate(bursts)]


def test_bursts_are_measured_and_leave_the_launches_that_are_asked_for(timed):
    kernel = timed("def f(x):\n    return x * 10, x.sum()\n")
    for measured_us, claimed_us in run(kernel, [], [0, 1], [4, 2, 3]):
        assert measured_us > 0
        assert claimed_us >= 0
    first, second = kernel.left.read(2, [2, 0], [3, 4])
    assert first.tolist() == [[30] * 3, [40] * 3]
    assert second.tolist() == [9, 12]
    (again, _) = kernel.left.read(1, [1], [1])
    assert again.tolist() == [[10] * 3]
    assert kernel.returns
    assert kernel.output_bytes == 16


def test_exports_are_copies_of_the_judges_own(timed):
    kernel = timed("def f(x):\n    return x\n")
    run(kernel, [1, 2])
    (found,) = kernel.left.read(0, [0, 1], [1, 2])
    kernel.inputs.columns[0].fill_(99)
    assert found.tolist() == [[1] * 3, [2] * 3]


def test_what_was_written_in_place(timed):
    kernel = timed("def f(x):\n    x.add_(100)\n", written=(0,))
    kernel.inputs.columns[0].zero_()
    run(kernel, [3, 1, 3])
    assert kernel.written == 1
    assert not kernel.returns
    (found,) = kernel.written_to([0, 1, 3])
    assert found[:, 0].tolist() == [0, 100, 200]


@pytest.mark.parametrize(
    "made", ["x.t()", "x > 2", "x.to(torch.float8_e5m2)", "x[:0]", "x[0, 0]", "x.expand(2, 3, 3)"]
)
def test_outputs_of_every_form(timed, made):
    kernel = timed(f"def f(x):\n    return {made}\n", torch.zeros(3, 3))
    run(kernel, [4, 2])
    (found,) = kernel.left.read(0, [0, 1], [4, 2])
    for number, one in zip((4.0, 2.0), found, strict=True):
        expected = eval(made, {"torch": torch, "x": torch.full((3, 3), number)})
        assert one.dtype is expected.dtype
        assert torch.equal(one.double(), expected.double())


@pytest.mark.parametrize(
    ("made", "scattered"), [("x + 1", False), ("(x + 1).t()", False), ("(x + 1)[:, ::2]", True)]
)
def test_outputs_with_gaps_are_known(timed, made, scattered):
    assert timed(f"def f(x):\n    return {made}\n", torch.zeros(3, 4)).left.scattered is scattered


def test_inputs_of_every_form_and_none(timed):
    others = (torch.tensor(7), torch.empty(0, 4), torch.randn(4, 3).t())
    source = "def f(x, a, b, c):\n    return x + a, torch.tensor(c.stride()), torch.tensor(b.shape)\n"
    kernel = timed(source, others=others)
    kernel.inputs.columns[1].fill_(7)
    run(kernel, [2])
    found = kernel.left.read(0, [0], [2])
    assert [one.tolist() for one in found] == [[[9] * 3], [[1, 3]], [[0, 4]]]


def test_a_kernel_whose_outputs_depend_on_the_inputs_fails_to_fit_and_can_go_on(timed):
    kernel = timed("def f(x):\n    return torch.ones(int(x[0]) + 1)\n")
    run(kernel, [0, 3])
    assert kernel.left.read(0, [0], [0])[0].tolist() == [[1]]
    with pytest.raises(RunnerFailed, match="other tensors"):
        kernel.left.read(0, [1], [3])
    assert run(kernel, [1])[0][0] > 0


@pytest.mark.parametrize("beginning", [None, torch.tensor([1.0, 2.0, 3.0])], ids=["undeclared", "declared"])
def test_outputs_begin_as_declared(scripted, beginning):
    hosted = HostedKernel(RunnerLink("candidate", scripted(okay_to_memory), Deadline(60)), "cpu", LIMITS)
    buffers = [TensorMeta(shape=(3,), dtype="float32")]
    plan = SetsPlan(InputSet(*pack([torch.zeros(3)])), buffers, (), COUNT, [beginning])
    kernel = TimedKernel(hosted, plan)
    (column,) = kernel._outputs.columns
    column.fill_(7)
    kernel.begin_outputs()
    expected = [7, 7, 7] if beginning is None else [1, 2, 3]
    assert column.tolist() == [expected] * COUNT
    assert kernel.adds_to_outputs is (beginning is not None)
    hosted.release()


def okay_to_memory(channel):
    """Map two arenas: of inputs and of outputs."""
    for _ in range(2):
        question = channel.receive_with_descriptors()[0]
        channel.send(Okay(nonce=question.nonce))


def test_an_error_in_a_burst_is_the_users(timed):
    kernel = timed("calls = []\ndef f(x):\n    calls.append(1)\n    assert len(calls) < 40\n    return x\n")
    with pytest.raises(RunnerFailed) as trouble:
        run(kernel, [0] * 50)
    assert trouble.value.failed.type == "AssertionError"


def test_a_runner_that_claims_far_more_than_it_returned_when_judged(scripted):
    """Room would be made for it."""

    def script(channel):
        question = channel.receive_with_descriptors()[0]
        channel.send(Okay(nonce=question.nonce))
        question = channel.receive()
        huge = TensorMeta(shape=(1 << 40,), dtype="float32")
        channel.send(SetsBound(outputs=(huge,), in_place=False, nonce=question.nonce))

    hosted = HostedKernel(RunnerLink("candidate", scripted(script), Deadline(60)), "cpu", LIMITS)
    kernel = TimedKernel(hosted, SetsPlan(InputSet(*pack([torch.zeros(3)])), (), (), 2))
    kernel.bind(0)
    with pytest.raises(RunnerForged, match="when it is timed"):
        kernel.bound()
    hosted.release()
