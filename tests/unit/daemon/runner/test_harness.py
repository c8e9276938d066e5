"""The harness with real modules in this process: one answer for each message."""

import os
import sys
import threading
import time

import pytest
import torch

from kbd.backends import artifact_archive
from kbd.backends.artifact_archive import BadArchive
from kbd.backends.base import Artifact, CompileFailed, Unsupported
from kbd.backends.python_source import MODULE_NAME
from kbd.daemon.executor.doorbell import STOP, Doorbell, make_page, make_wakers
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import (
    Bind,
    BindSets,
    Burst,
    Export,
    ForgetJob,
    Listen,
    Load,
    MakeInputs,
    Map,
    Okay,
    Prepare,
    Run,
    TakeArtifact,
)
from kbd.daemon.executor.shared_memory import Arena, tensor_at
from kbd.daemon.executor.tensor_messages import Values
from kbd.daemon.judge.lending import lay_out
from kbd.daemon.runner.harness import Harness
from kbd.daemon.runner.values import UnknownValue, meta_of, pack
from kbd.inbox.contract import IOContract
from kbd.inbox.manifest import KernelCode
from kbd.inbox.validation import validate


class Lent:
    """Memory of the judge's for some tensors, mapped by a harness."""

    def __init__(self, harness, number, tensors):
        self.slots, nbytes = lay_out(number, [meta_of(tensor) for tensor in tensors])
        self._arena = Arena(nbytes, "cpu")
        message = Map(arena=number, nbytes=self._arena.nbytes)
        assert harness.map(message, [os.dup(self._arena.descriptor)]) == Okay()
        for slot, tensor in zip(self.slots, tensors, strict=True):
            tensor_at(self._arena.memory, slot).copy_(tensor)

    @property
    def tensors(self):
        return [tensor_at(self._arena.memory, slot).clone() for slot in self.slots]

    def release(self):
        self._arena.release()


@pytest.fixture
def harness(tmp_path):
    yield Harness(DeviceTarget(kind="cpu"), tmp_path)
    sys.modules.pop(MODULE_NAME, None)


@pytest.fixture
def lend(harness):
    lent = []

    def make(*tensors):
        lent.append(Lent(harness, len(lent), list(tensors)))
        return lent[-1]

    yield make
    for one in lent:
        one.release()


@pytest.fixture
def load(harness):
    def run(source, **fields):
        kernel = KernelCode(
            kernel_type=fields.pop("kernel_type", "torch"), source_code="import torch\n" + source
        )
        values = {"role": "candidate", "kernel": kernel, "init_seed": 3}
        return harness.load(Load(**values | fields))

    return run


@pytest.fixture
def bind(harness, lend):
    """Bind arguments as set `index`; returns where their tensors lie."""

    def run(index, *arguments, workload=0):
        tree, tensors = pack(list(arguments))
        lent = lend(*tensors)
        message = Bind(index=index, workload=workload, values=tree, slots=lent.slots)
        assert harness.bind(message) == Okay()
        return lent

    return run


def test_a_call_from_loading_to_the_exported_outputs(harness, load, bind, lend):
    loaded = load("def f(x, n):\n    return x * n, x.sum()\n")
    assert loaded.setup_us > 0
    assert not loaded.makes_inputs
    assert loaded.init_inputs == Values(tree=[])
    bind(0, torch.arange(3.0), 4)
    ran = harness.run(Run(index=0))
    assert ran.values.tree == {"tuple": [{"tensor": 0}, {"tensor": 1}]}
    assert [meta.shape for meta in ran.values.tensors] == [(3,), ()]
    assert ran.peak_bytes is None
    room = lend(torch.zeros(3), torch.zeros(()))
    assert harness.export(Export(what="outputs", slots=room.slots)) == Okay()
    assert [tensor.tolist() for tensor in room.tensors] == [[0, 4, 8], 3]


def test_a_kernel_works_on_the_judges_memory(harness, load, bind):
    load("def f(x):\n    x.add_(1)\n")
    lent = bind(0, torch.zeros(2))
    harness.run(Run(index=0))
    assert lent.tensors[0].tolist() == [1, 1]


def test_input_sets_are_told_apart(harness, load, bind):
    load("def f(x):\n    return float(x)\n")
    for index in range(3):
        bind(index, torch.tensor(float(index)))
    assert [harness.run(Run(index=index)).values.tree for index in (2, 0, 1)] == [2.0, 0.0, 1.0]


def test_constructor_arguments_are_told_and_exported(harness, load, lend):
    source = (
        "class Model(torch.nn.Module):\n"
        "    def __init__(self, w, n):\n        super().__init__()\n        self.w = w * n\n"
        "    def forward(self):\n        return self.w\n"
        "def get_init_inputs():\n    return [torch.ones(2), 3]\n"
    )
    loaded = load(source)
    assert loaded.init_inputs.tree == [{"tensor": 0}, 3]
    room = lend(torch.zeros(2))
    harness.export(Export(what="init_inputs", slots=room.slots))
    assert room.tensors[0].tolist() == [1, 1]


def test_constructor_arguments_that_are_given_are_the_kernels_own_copies(harness, load, lend, bind):
    source = (
        "class Model(torch.nn.Module):\n"
        "    def __init__(self, w, n):\n        super().__init__()\n        self.w = w.mul_(n)\n"
        "    def forward(self):\n        return self.w\n"
    )
    given = lend(torch.ones(2))
    tree = [{"tensor": 0}, 5]
    metas = tuple(slot.meta for slot in given.slots)
    loaded = load(source, init_inputs=Values(tree=tree, tensors=metas), init_slots=given.slots)
    assert loaded.init_inputs is None
    assert given.tensors[0].tolist() == [1, 1]
    bind(0)
    harness.run(Run(index=0))
    room = lend(torch.zeros(2))
    harness.export(Export(what="outputs", slots=room.slots))
    assert room.tensors[0].tolist() == [5, 5]


def test_the_module_makes_inputs(harness, load, lend):
    assert load("def get_inputs():\n    return [torch.rand(3), 2]\ndef f(*a):\n    pass\n").makes_inputs
    made = harness.make_inputs(MakeInputs(seed=9))
    assert made.values.tree == [{"tensor": 0}, 2]
    room = lend(torch.zeros(3))
    harness.export(Export(what="inputs", slots=room.slots))
    torch.manual_seed(9)
    assert torch.equal(room.tensors[0], torch.rand(3))


def test_outputs_of_inference_mode_can_be_exported_to_any_form(harness, load, bind, lend):
    load("def f(x):\n    return x.t(), x[0, 0].expand(4)\n")
    bind(0, torch.arange(6.0).reshape(2, 3))
    harness.run(Run(index=0))
    room = lend(torch.zeros(3, 2), torch.ones(4))
    harness.export(Export(what="outputs", slots=room.slots))
    assert room.tensors[0].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert room.tensors[1].tolist() == [0] * 4


@pytest.fixture
def bind_sets(harness, lend):
    """Bind sets of one tensor each for bursts; returns where they lie."""

    def run(*tensors):
        lent = lend(*tensors)
        first, second = (slot.offset for slot in lent.slots[:2])
        message = BindSets(
            count=len(tensors), values=[{"tensor": 0}], slots=lent.slots[:1], stride=second - first
        )
        return lent, harness.bind_sets(message)

    return run


def test_a_burst_goes_over_the_sets_it_names(harness, load, bind_sets):
    load("def f(x):\n    x.add_(1)\n")
    lent, bound = bind_sets(*torch.zeros(3, 1).unbind())
    assert bound.outputs == ()
    harness.prepare(Prepare(bursts=((), (2, 1, 2)), method="eager"))
    before = [tensor.item() for tensor in lent.tensors]
    assert harness.burst(Burst(index=1)).claimed_us >= 0
    harness.burst(Burst(index=0))
    after = [tensor.item() for tensor in lent.tensors]
    assert [new - old for new, old in zip(after, before, strict=True)] == [0, 1, 2]


@pytest.fixture
def keeping(harness, lend):
    """Prepare one burst over some sets whose outputs are kept beside each other; returns where."""

    def prepare(sets, *likes):
        room = lend(*(like for _ in range(max(sets) + 1) for like in likes))
        stride = room.slots[len(likes)].offset - room.slots[0].offset
        kept = room.slots[: len(likes)]
        where = {"kept": kept, "kept_stride": stride, "kept_sets": max(sets) + 1}
        harness.prepare(Prepare(bursts=(sets,), method="eager", **where))
        return room

    return prepare


def test_what_launches_returned_is_copied_where_it_is_to_be_kept(harness, load, bind_sets, keeping):
    load("def f(x):\n    return x * 10, x.to(torch.int8)\n")
    _, bound = bind_sets(*torch.arange(6.0).reshape(3, 2).unbind())
    assert [meta.dtype for meta in bound.outputs] == ["float32", "int8"]
    room = keeping((2, 0), torch.zeros(2), torch.zeros(2, dtype=torch.int8))
    assert harness.burst(Burst(index=0, keep=True)).unfit == ()
    assert [tensor.tolist() for tensor in room.tensors] == [[0, 10], [0, 1], [0, 0], [0, 0], [40, 50], [4, 5]]


@pytest.mark.parametrize("room", [torch.zeros(1), torch.zeros(2).double(), torch.zeros(2, 2)], ids=str)
def test_other_tensors_than_expected_are_not_made_to_fit(harness, load, bind_sets, keeping, room):
    load("def f(x):\n    return x * 10\n")
    bind_sets(*torch.ones(2, 2).unbind())
    keeping((1, 0), room)
    assert harness.burst(Burst(index=0, keep=True)).unfit == (1, 0)


@pytest.mark.parametrize(
    ("made", "views"),
    [("x * 10", ()), ("x.view(2)", (1, 0)), ("x[1:]", (1, 0)), ("x[:0]", ()), ("x.clone()", ())],
)
def test_memory_of_an_input_is_known_again(harness, load, bind_sets, keeping, made, views):
    load(f"def f(x):\n    return {made}\n")
    bind_sets(*torch.ones(2, 2).unbind())
    keeping((1, 0), torch.zeros(2))
    assert harness.burst(Burst(index=0, keep=True)).views == views
    assert harness.burst(Burst(index=0)).views == ()


def test_a_doorbell_is_answered_until_it_says_stop(harness, load, bind_sets):
    load("def f(x):\n    x.add_(1)\n")
    lent, _ = bind_sets(*torch.zeros(2, 1).unbind())
    harness.prepare(Prepare(bursts=((0,), (1, 1)), method="eager"))
    before = [tensor.item() for tensor in lent.tensors]
    page = make_page()
    bell = Doorbell(page)
    thread = threading.Thread(target=harness.listen, args=(Listen(), [page]))
    thread.start()
    while not bell.listening:
        time.sleep(0.001)
    for nonce, burst in ((11, 1), (12, 0), (13, 1)):
        bell.ring(nonce, burst)
        while not bell.done(nonce):
            time.sleep(0.001)
    bell.ring(14, STOP)
    thread.join(60)
    assert not thread.is_alive()
    after = [tensor.item() for tensor in lent.tensors]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 4]


def test_a_burst_that_is_kept_is_told_of_at_the_doorbell(harness, load, bind_sets, keeping):
    load("def f(x):\n    return x[1:]\n")
    bind_sets(*torch.ones(2, 2).unbind())
    keeping((1,), torch.zeros(2))
    page, (mine, theirs) = make_page(), make_wakers()
    bell = Doorbell(page, mine)
    thread = threading.Thread(target=harness.listen, args=(Listen(), [page, theirs]))
    thread.start()
    while not bell.listening:
        time.sleep(0.001)

    def ring(nonce, burst, **options):
        bell.ring(nonce, burst, **options)
        while not bell.done(nonce):
            pass
        return bell.unfit, bell.views

    assert ring(11, 0, keep=True) == ({1}, True)
    assert ring(12, 0) == (set(), False)
    bell.ring(13, STOP)
    thread.join(60)
    assert not thread.is_alive()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(theirs)
    bell.close()


def test_binding_anew_forgets_the_bursts_of_old_inputs(harness, load, bind, bind_sets):
    load("def f(x):\n    x.add_(1)\n")
    bind_sets(*torch.zeros(2, 1).unbind())
    harness.prepare(Prepare(bursts=((0,),), method="eager"))
    bind(0, torch.zeros(1))
    with pytest.raises(RuntimeError, match="no input sets"):
        harness.burst(Burst(index=0))


def test_nothing_is_called_before_it_is_loaded(harness, bind):
    bind(0, torch.zeros(1))
    with pytest.raises(RuntimeError, match="no kernel"):
        harness.run(Run(index=0))


@pytest.mark.parametrize("value", ["object()", "torch.eye(2).to_sparse()", "{1, 2}"])
def test_what_cannot_be_described_is_said_so(harness, load, bind, value):
    load(f"def f():\n    return {value}\n")
    bind(0)
    with pytest.raises(UnknownValue):
        harness.run(Run(index=0))


def test_a_type_that_is_not_known_here(load):
    with pytest.raises(Unsupported):
        load("x", kernel_type="matlab")


def test_a_source_that_does_not_compile(load):
    with pytest.raises(CompileFailed):
        load("def f(\n")


PLUG_IN = """
from kbd.backends.base import Artifact, BareExecutable


class Executable(BareExecutable):
    def call_on(self, inputs, outputs):
        return lambda: self.contract.axes["N"]


class Backend:
    kernel_type = "sizes"

    def compile(self, request, folder):
        return Artifact("sizes", folder, properties={"axes": [one.axes for one in request.contracts]})

    def load(self, artifact, context):
        assert artifact.properties["axes"] == [one.axes for one in context.contracts]
        return Executable()
"""


def test_a_workloads_contract_is_in_force_for_its_input_sets(harness, load, bind, monkeypatch):
    found = {}
    exec(PLUG_IN, found)
    monkeypatch.setattr("kbd.daemon.runner.harness.backend_for", lambda kernel_type: found["Backend"]())
    spec = {"name": "x", "type": "tensor", "tensor_spec": {"shape": ["N"], "dtype": "float32"}}
    contract = validate(IOContract, {"args": [spec]})
    load("", kernel_type="sizes", contracts=tuple(contract.bind({"N": size}) for size in (3, 5)))
    for workload, size in ((0, 3), (1, 5), (0, 3)):
        bind(0, torch.zeros(size), workload=workload)
        assert harness.run(Run(index=0)).values.tree == size


@pytest.fixture
def given(harness, tmp_path):
    """Give the harness an artifact whose module is not what the message to load says."""

    def give(source, nbytes=None):
        folder = tmp_path / "made"
        folder.mkdir()
        (folder / f"{MODULE_NAME}.py").write_text(source)
        Artifact("torch", folder).write()
        descriptor = os.memfd_create("archive")
        size = artifact_archive.pack(folder, descriptor)
        return harness.take_artifact(TakeArtifact(nbytes=nbytes or size), [descriptor])

    return give


def test_what_a_compiler_made_is_loaded(given, load, bind, harness):
    assert given("def f(x):\n    return x + 5\n") == Okay()
    load("def f(x):\n    return x\n")
    bind(0, torch.zeros(2))
    harness.run(Run(index=0))
    assert harness._made["outputs"][0].tolist() == [5, 5]


def test_half_an_artifact(given, open_descriptors):
    before = open_descriptors()
    with pytest.raises(BadArchive):
        given("def f(x):\n    return x\n", nbytes=700)
    assert open_descriptors() == before


def test_a_harness_that_forgot_its_job_serves_another_as_if_it_were_the_first(harness, load, bind):
    source = "seen = []\ndef f(x):\n    seen.append(1)\n    return x + len(seen)\n"
    for number in range(2):
        load(source, init_seed=number)
        bind(0, torch.tensor(float(number)))
        harness.run(Run(index=0))
        assert harness._made["outputs"][0].item() == number + 1, "the module is a new one each time"
        assert harness.forget_job(ForgetJob()) == Okay()
        with pytest.raises(RuntimeError, match="no kernel is loaded"):
            _ = harness.kernel
        assert not harness._arenas
        assert not harness._sets
