"""A kernel in a real runner: what goes in, what comes out, and that nothing of it is shared."""

import pytest
import torch

from kbd.daemon.executor import protocol, runner_protocol
from kbd.daemon.executor.protocol import StageLimits
from kbd.daemon.executor.runner_protocol import Okay, Ran
from kbd.daemon.executor.tensor_messages import TensorMeta, Values
from kbd.daemon.judge.hosted_kernel import HostedKernel, InputSet
from kbd.daemon.judge.room import Announcements
from kbd.daemon.judge.runner_link import Deadline, RunnerFailed, RunnerForged, RunnerLink, RunnerLost
from kbd.daemon.runner.values import pack
from kbd.inbox.manifest import KernelCode

LIMITS = StageLimits(load_s=60, correctness_s=60, timing_s=60, timing_budget_s=60)


def kernel(source, **metadata):
    return KernelCode(kernel_type="torch", source_code=source, metadata=metadata)


def inputs(*values):
    return InputSet(*pack(list(values)))


@pytest.fixture
def loaded(host):
    def load(source, init_inputs=None, *, role="candidate", name="runner"):
        hosted = host(role, name)
        hosted.load(kernel(source), (), 11, init_inputs)
        return hosted

    return load


def outputs_of(hosted, given, index=0):
    hosted.bind(index, given)
    return hosted.outputs_of(hosted.run(index))


def test_a_call(loaded):
    hosted = loaded("def f(x, scale):\n    return x * scale, {'sum': x.sum()}\n")
    first, second = outputs_of(hosted, inputs(torch.arange(4.0), 3))
    assert first.tolist() == [0, 3, 6, 9]
    assert second.item() == 6
    assert hosted.setup_us > 0
    assert hosted.peak_bytes is None


def test_outputs_are_copies(loaded):
    hosted = loaded("def f(x):\n    return x\n")
    (first,) = outputs_of(hosted, inputs(torch.ones(3)))
    outputs_of(hosted, inputs(torch.zeros(3)))
    assert first.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "made",
    [
        "x.t()",
        "x[:, ::2]",
        "x[0, 0].expand(5)",
        "x.bfloat16()",
        "x > 2",
        "x.sum()",
        "torch.empty(0, 7)",
        "x.to(torch.float8_e5m2)",
        "torch.empty_strided((2, 3), (8, 2)).copy_(x[:2, :3])",
    ],
)
def test_outputs_of_every_form(loaded, made):
    hosted = loaded(f"import torch\ndef f(x):\n    return {made}\n")
    x = torch.arange(16.0).reshape(4, 4)
    (found,) = outputs_of(hosted, inputs(x))
    expected = eval(made)
    assert found.dtype is expected.dtype
    assert torch.equal(found.double(), expected.double())


def test_inputs_of_every_form_arrive_as_they_are(loaded):
    hosted = loaded("def f(*xs):\n    return [list(x.stride()) for x in xs], [x.clone() for x in xs]\n")
    given = [torch.randn(3, 4).t(), torch.tensor(2), torch.empty(0), torch.randn(6)[::2]]
    hosted.bind(0, inputs(*given))
    ran = hosted.run(0)
    strides = ran.values.tree["tuple"][0]
    assert strides[0] == [1, 4]
    assert strides[3] == [2]
    for found, expected in zip(hosted.outputs_of(ran), given, strict=True):
        assert torch.equal(found, expected)


def test_changed_inputs_are_seen_by_their_bits(loaded):
    hosted = loaded("def f(x, y, z):\n    y.mul_(-1)\n    return z\n")
    given = inputs(torch.ones(3), torch.zeros(3), torch.ones(0))
    outputs_of(hosted, given)
    assert hosted.changed_inputs(0, given) == [1], "-0.0 equals 0.0, and is another value"
    assert given.tensors[1].tolist() == [0, 0, 0], "the master copy is the judge's"


def test_an_unchanged_nan_is_no_change(loaded):
    hosted = loaded("def f(x):\n    return x\n")
    given = inputs(torch.tensor([float("nan"), 1.0]))
    outputs_of(hosted, given)
    assert hosted.changed_inputs(0, given) == []


def test_binding_again_refreshes_what_a_kernel_has_spoilt(loaded):
    hosted = loaded("def f(x):\n    return x.add_(1)\n")
    given = inputs(torch.zeros(3))
    assert [outputs_of(hosted, given)[0].tolist() for _ in range(2)] == [[1, 1, 1]] * 2


def test_a_set_can_be_bound_to_another_shape(loaded):
    hosted = loaded("def f(x):\n    return x\n")
    for shape in [(3,), (2, 2), (3,)]:
        assert outputs_of(hosted, inputs(torch.ones(shape)))[0].shape == shape


def test_sets_lie_apart_even_in_one_piece_of_memory(loaded):
    hosted = loaded("def f(x):\n    return x.add_(1)\n")
    sets = [inputs(torch.full((5,), float(number))) for number in range(3)]
    for index, one in enumerate(sets):
        hosted.bind(index, one)
    hosted.run(1)
    assert [hosted.changed_inputs(number, sets[number]) for number in range(3)] == [[], [0], []]


def test_inputs_of_the_module(loaded):
    source = "import torch\ndef get_inputs():\n    return [torch.rand(3), 2]\ndef f(x, n):\n    return x\n"
    hosted = loaded(source, role="reference")
    assert hosted.makes_inputs
    first, again, other = (hosted.make_inputs(seed) for seed in (5, 5, 6))
    assert first.tree == [{"tensor": 0}, 2]
    assert torch.equal(first.tensors[0], again.tensors[0])
    assert not torch.equal(first.tensors[0], other.tensors[0])


MODEL = """
import torch
def get_init_inputs():
    return [torch.arange({size}.0), 'sum']
class Model(torch.nn.Module):
    def __init__(self, weight, how):
        super().__init__()
        self.weight, self.how = weight, how
        self.noise = torch.nn.Parameter(torch.rand(2))
    def forward(self):
        return self.weight.sum(), self.noise
"""


def test_constructor_arguments_and_weights_are_the_references(loaded):
    reference = loaded(MODEL.format(size=4), role="reference", name="reference")
    assert reference.init_inputs.tree == [{"tensor": 0}, "sum"]
    candidate = loaded(MODEL.format(size=9), reference.init_inputs, name="candidate")
    assert candidate.init_inputs is None
    expected, found = outputs_of(reference, inputs()), outputs_of(candidate, inputs())
    assert expected[0].item() == found[0].item() == 6
    assert torch.equal(expected[1], found[1])


def test_the_users_error_comes_through(loaded):
    hosted = loaded("def f(x):\n    raise KeyError('mine')\n")
    with pytest.raises(RunnerFailed) as trouble:
        outputs_of(hosted, inputs(torch.ones(1)))
    assert trouble.value.failed.type == "KeyError"
    assert trouble.value.role == "candidate"


def test_a_released_kernel_lets_its_runner_go(loaded):
    hosted = loaded("def f(x):\n    return x\n")
    hosted.release()
    hosted.release()
    with pytest.raises((RunnerLost, OSError)):
        hosted.run(0)


# --- runners that lie -------------------------------------------------------------------------------


def lying(scripted, *answers, announcements=None):
    """A hosted kernel whose runner gives these answers to whatever is asked."""

    def script(channel):
        for answer in answers:
            question = channel.receive()
            echo = {"nonce": question.nonce} if hasattr(answer, "nonce") else {}
            channel.send(answer.model_copy(update=echo))

    link = RunnerLink("candidate", scripted(script), Deadline(60))
    return HostedKernel(link, "cpu", LIMITS, announcements)


@pytest.mark.parametrize(
    "answer", [Okay(), runner_protocol.Done(claimed_us=0), protocol.Ready(environment={})]
)
def test_an_answer_out_of_place_is_forged(scripted, answer):
    with pytest.raises(RunnerForged):
        lying(scripted, answer).run(0)


def test_the_largest_claimed_memory_is_kept(scripted):
    values = Values(tree=None)
    peaks = [100, 300, 200, None]
    hosted = lying(scripted, *(Ran(values=values, peak_bytes=peak) for peak in peaks))
    for _ in peaks:
        hosted.run(0)
    assert hosted.peak_bytes == 300


def test_outputs_of_a_runner_that_exports_nothing_are_what_lay_there(scripted):
    meta = TensorMeta(shape=(3,), dtype="float32")
    values = Values(tree=[{"tensor": 0}], tensors=(meta,))
    hosted = lying(scripted, Okay(), Okay())
    (found,) = hosted.outputs_of(Ran(values=values))
    assert found.tolist() == [0, 0, 0]
    hosted.release()


HUGE = Values(tree=[{"tensor": 0}], tensors=(TensorMeta(shape=(1 << 38,), dtype="float32"),))


@pytest.mark.parametrize(
    ("answer", "ask"),
    [
        (runner_protocol.Made(values=HUGE), lambda hosted: hosted.make_inputs(1)),
        (
            runner_protocol.Loaded(setup_us=1, makes_inputs=False, init_inputs=HUGE),
            lambda hosted: hosted.load(kernel("def f(): pass"), (), 1, None),
        ),
        (Ran(values=HUGE), lambda hosted: hosted.outputs_of(hosted.run(0))),
        (
            Ran(values=Values(tree=None), precise=HUGE),
            lambda hosted: hosted.precise_outputs_of(hosted.run(0), [], []),
        ),
    ],
    ids=["inputs", "init_inputs", "outputs", "precise"],
)
@pytest.mark.parametrize("bound", ["runner_bytes", "host_bytes"])
def test_what_a_runner_cannot_have_made_is_not_believed(scripted, answer, ask, bound):
    hosted = lying(scripted, answer, announcements=Announcements(**{bound: 1 << 30}))
    with pytest.raises(RunnerFailed) as trouble:
        ask(hosted)
    failed = trouble.value.failed
    assert (failed.status, failed.memory.limit_bytes) == ("out_of_memory", 1 << 30)
    assert failed.memory.needed_bytes >= 1 << 40
    assert hosted.lender._arenas == [], "nothing was made for it"


def test_what_is_fetched_and_bound_again_and_again_lies_in_the_same_memory(loaded):
    source = "import torch\ndef get_inputs():\n    return [torch.rand(1000)]\ndef f(x):\n    return x\n"
    hosted = loaded(source)
    for seed in range(5):
        outputs_of(hosted, hosted.make_inputs(seed), index=seed % 2)
    assert len(hosted.lender._arenas) == 4, "inputs made, two sets, outputs"


def test_sets_of_another_form_take_the_place_of_those_before(loaded):
    hosted = loaded("def f(x):\n    return x.sum()\n")
    for size in (1000, 900, 800):
        assert outputs_of(hosted, inputs(torch.ones(size)))[0].item() == size
        assert hosted.trespassed(0) == []
    assert len(hosted.lender._arenas) == 2


def test_input_sets_know_their_size():
    assert inputs(torch.zeros(3), 5, torch.zeros(2, dtype=torch.int8)).nbytes == 14
