"""Evaluations in the making: kernels that are functions of this process, and runners that are threads of it."""

import contextlib
import functools
import itertools
import threading

import pytest
import torch

from kbd.daemon.executor.async_channel import channel_pair
from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.protocol import DeviceTarget, Evaluate, StageLimits
from kbd.daemon.executor.runner_protocol import (
    Done,
    FromJudgeToRunner,
    FromNewRunner,
    LaunchSeen,
    Okay,
    Prepared,
    Ran,
    SetsBound,
    Warm,
)
from kbd.daemon.executor.shared_memory import tensor_at
from kbd.daemon.job_run import workload_plans
from kbd.daemon.judge.bench import Bench
from kbd.daemon.judge.bits import invert_bits
from kbd.daemon.judge.borrowing import Borrower
from kbd.daemon.judge.dense_form import dense_form
from kbd.daemon.judge.device_report import DeviceInspector
from kbd.daemon.judge.freshening import Freshener, Origin
from kbd.daemon.judge.hosted_kernel import HostedKernel, InputSet
from kbd.daemon.judge.lending import Lender
from kbd.daemon.judge.runner_link import Deadline, RunnerLink
from kbd.daemon.judge.session import Session
from kbd.daemon.judge.timed_kernel import SetsPlan, TimedKernel
from kbd.daemon.runner.copying import copy_all, target_at
from kbd.daemon.runner.main import serve
from kbd.daemon.runner.overlaps import overlaps_of
from kbd.daemon.runner.precision import widened
from kbd.daemon.runner.values import pack, pack_values, unpack
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.formats.registry import parse_manifest

CPU = DeviceTarget(kind="cpu")
RANDN = Origin([torch.zeros(4)], BoundTensor(shape=(4,), dtype=DType.FLOAT32))
LIMITS = StageLimits(load_s=60, correctness_s=60, timing_s=60, timing_budget_s=60)
SOURCE = "def double(x):\n    return x + x\n"
IO = {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": ["N"], "dtype": "float32"}}]}
DOCUMENT = {
    "version": 1,
    "candidate": {"kernel_type": "torch", "source_code": SOURCE},
    "reference": {"kernel_type": "torch", "source_code": SOURCE},
    "io": IO,
    "workloads": [{"name": "small", "axes": {"N": 4}}, {"name": "large", "axes": {"N": 9}}],
    "evaluation": {"num_correct_trials": 2, "num_trials": 3, "seed": 7},
}


@pytest.fixture
def cpu_device():
    return torch.device("cpu")


@pytest.fixture
def document():
    """Build a job's document from a plain one with some keys changed; None removes one."""

    def build(**changes):
        return {name: value for name, value in (DOCUMENT | changes).items() if value is not None}

    return build


@pytest.fixture
def make_request():
    """The request of a job, from its document."""

    def build(document, **changes):
        manifest = parse_manifest(document, default_id="job", folder=None)
        values = {
            "job_id": manifest.id,
            "candidate": manifest.candidate,
            "reference": manifest.reference,
            "workloads": workload_plans(manifest),
            "evaluation": manifest.evaluation,
            "seconds_left": 60.0,
            "limits": LIMITS,
        }
        return Evaluate(**values | changes)

    return build


class FakeLink:
    """A link to a runner that is this process: a FakeKernel answers. Memory is lent as ever."""

    rings = False
    has_news = False

    def __init__(self, kernel):
        self._kernel = kernel
        self._posed = []

    def limit(self, seconds):
        return seconds

    def pose(self, question, limit_s, descriptors=()):
        self._posed.append(question)
        return len(self._posed) - 1

    def answer_to(self, nonce, answer, limit_s):
        question = self._posed[nonce]
        found = getattr(self._kernel, f"on_{question.kind}")(question)
        assert isinstance(found, answer)
        return found

    def ask(self, question, answer, limit_s, descriptors=()):
        return self.answer_to(self.pose(question, limit_s), answer, limit_s)

    def ask_timed(self, question, answer, limit_s):
        done = self.ask(question, answer, limit_s)
        return 2 * done.claimed_us, done


class FakeKernel:
    """Stands for a HostedKernel: `compute` is its kernel, `troubles` are raised by the verbs they name.

    A trouble with a number is raised at that call of its verb. While it is timed it runs `timed` where that is
    given; bursts cost `overhead_us` and `launch_us` for each launch, and what `noise` adds, on a clock of their
    own, and claim half of it.
    """

    device_kind = "cpu"
    limits = LIMITS
    returned_bytes = 0
    dense = staticmethod(dense_form)

    def __init__(
        self,
        role,
        compute,
        *,
        precise=None,
        timed=None,
        launch_us=50.0,
        overhead_us=7.0,
        noise=None,
        captures=True,
        troubles=None,
    ):
        self.link = FakeLink(self)
        self.lender = Lender(self.link, "cpu", 60)
        self.borrower = Borrower()
        self.exposed = None
        self.role = role
        self.setup_us = 12.0
        self.makes_inputs = False
        self.interpreted = False
        self.launched = []
        self.init_inputs = None
        self.peak_bytes = None
        self.tree_time = None
        self.notes = ()
        self.workload = 0
        self.workloads = []
        self.verbs = []
        self.loads = []
        self.prepared = []
        self.bursts = []
        self.kept = []
        self.timed = timed or compute
        self.noise = noise or itertools.repeat(0.0)
        self._returned = {}
        self.views = False
        self.seen = []
        self.places = []
        self.trespasses = []
        self._compute = compute
        self._precise = precise
        self.launch_us = launch_us
        self._overhead_us = overhead_us
        self._captures = captures
        self.lacks_memory = False
        self._troubles = troubles or {}
        self._sets = {}
        self._made = []

    def _do(self, verb):
        self.verbs.append(verb)
        for key in (verb, (verb, self.verbs.count(verb))):
            if key in self._troubles:
                raise self._troubles[key]

    def load(self, kernel, contract, seed, init_inputs):
        self._do("load")
        self.loads.append((kernel, contract, seed, init_inputs))

    def make_inputs(self, seed):
        self._do("make_inputs")
        return InputSet(*pack([torch.full((3,), float(seed % 1000))]))

    def bind(self, index, inputs):
        self._do("bind")
        self.workloads.append(self.workload)
        self._sets[index] = [tensor.clone() for tensor in inputs.tensors], inputs.tree

    def output_metas(self):
        return []

    def output_beginnings(self, device):
        return []

    def run(self, index, *, precisely=False):
        self._do("run")
        tensors, tree = self._sets[index]
        arguments = unpack(tree, tensors)
        self.seen.append([tensor.clone() for tensor in tensors])
        self.places.append(index)
        precise = self._run_precisely(tree, tensors) if precisely else {}
        values, self._made = pack_values(self._compute(*arguments))
        overlaps = overlaps_of(self._made, tensors)
        self.returned_bytes = sum(tensor.nbytes for tensor in self._made)
        return Ran(values=values.model_copy(update={"overlaps": overlaps}), **precise)

    def _run_precisely(self, tree, tensors):
        if self._precise is None:
            return {"imprecise": "it has none"}
        wide = [widened(tensor) for tensor in tensors]
        values, made = pack_values(self._precise(*unpack(tree, wide)))
        values, self._made_precisely = (values, made) if made else pack_values(wide)
        return {"precise": values}

    def outputs_of(self, ran):
        self._do("outputs_of")
        assert len(ran.values.tensors) == len(self._made)
        return [tensor.clone() for tensor in self._made]

    def outputs_with_other_inputs(self, index, places):
        changed = [self._sets[index][0][place] for place in places]
        for tensor in changed:
            invert_bits(tensor)
        found = [tensor.clone() for tensor in self._made]
        for tensor in changed:
            invert_bits(tensor)
        return found

    def precise_outputs_of(self, ran, like, places):
        assert len(ran.precise.tensors) == len(self._made_precisely)
        made = [self._made_precisely[place] for place in places]
        return [tensor.to(other.dtype) for tensor, other in zip(made, like, strict=True)]

    def inputs_now(self, index, places):
        return [self._sets[index][0][place].clone() for place in places]

    def trespassed(self, index):
        return self.trespasses

    def changed_inputs(self, index, inputs):
        pairs = zip(self._sets[index][0], inputs.tensors, strict=True)
        return [place for place, pair in enumerate(pairs) if not torch.equal(*pair)]

    def launches(self):
        self._do("launches")
        return tuple(LaunchSeen(kernel=name, count=1) for name in self.launched)

    # --- what its runner answers while it is timed ------------------------------------------------------

    def on_map(self, question):
        return Okay()

    def on_bind_sets(self, question):
        self._do("bind_sets")
        self.sets_bound = question
        self.workloads.append(question.workload)
        values, _ = pack_values(self._launch(0))
        return SetsBound(outputs=values.tensors, in_place=False)

    def on_prepare(self, question):
        self._do("prepare")
        self.prepared.append((question.bursts, question.method))
        self.kept_at = question
        if question.method == "graph" and not self._captures:
            lacked = self.lacks_memory
            return Prepared(method="eager", reason="no capture here", lacked_memory=lacked)
        if question.expose and self.exposed is not None:
            exposure = self.exposed.prepare(question.bursts)
            return Prepared(method=question.method, exposure=exposure, views=self.views)
        return Prepared(method=question.method)

    def on_burst(self, question):
        self._do("burst")
        sets = self.prepared[-1][0][question.index]
        self.bursts.append((question.index, sets))
        self.kept.append(question.keep)
        self._returned[question.index] = [self._launch(place) for place in sets]
        if self.exposed is not None and question.index < len(self.exposed.places):
            self.exposed.burst(question.index, self._returned[question.index])
        unfit = [place for launch, place in enumerate(sets) if not self._kept(question, launch, place)]
        measured_us = self._overhead_us + len(sets) * self.launch_us + next(self.noise)
        views = sets if question.keep and self.views else ()
        return Done(claimed_us=measured_us / 2, unfit=unfit if question.keep else (), views=views)

    def _kept(self, question, launch, place):
        """Copy what a launch returned to where the judge wants it, if it fits."""
        slots, step = self.kept_at.kept, self.kept_at.kept_stride
        if not (question.keep and slots):
            return True
        made = pack(self._returned[question.index][launch])[1]
        targets = [target_at(self._tensor(slot, place, step)) for slot in slots]
        return copy_all(targets, made)

    def _launch(self, place):
        bound = self.sets_bound
        return self.timed(*unpack(bound.values, [self._tensor(slot, place) for slot in bound.slots]))

    def _tensor(self, slot, place, step=None):
        step = self.sets_bound.stride if step is None else step
        moved = slot.model_copy(update={"offset": slot.offset + place * step})
        return tensor_at(self.lender._arenas[slot.arena].memory, moved)


@pytest.fixture
def make_kernel():
    kernels = []

    def build(*arguments, **options):
        kernels.append(FakeKernel(*arguments, **options))
        return kernels[-1]

    yield build
    for kernel in kernels:
        kernel.lender.release()


@pytest.fixture
def make_bench(cpu_device):
    """A bench of hosted kernels, whose sets are filled from origins (by default: four floats, randn)."""

    def build(
        candidate, reference=None, *, origins=(RANDN,), written=(), sets=32, warm=False, seed=3, values=None
    ):
        examples = [origin.originals[0] for origin in origins]
        inputs = InputSet(*pack(examples if values is None else values(*examples)))
        plan = SetsPlan(inputs, (), written, sets)
        ours = TimedKernel(candidate, plan)
        theirs = TimedKernel(reference, plan) if reference is not None else None
        freshener = Freshener(list(origins), cpu_device, seed)
        bench = Bench(ours, theirs, freshener, cpu_device, seed, warm=warm)
        bench.fill()
        for kernel in bench.kernels:
            kernel.bind(0)
            kernel.bound()
        return bench

    return build


@pytest.fixture
def make_session(make_request, document, cpu_device):
    """A session of fake kernels; `session.told` is what it reported, `session.leases` how it held the device,
    `session.ended` what became of the candidate."""

    def build(candidate, reference=None, job=None, **changes):
        job = document(**({} if reference else {"reference": None})) if job is None else job
        told, leases, ended = [], [], []

        @contextlib.contextmanager
        def lease():
            leases.append("held")
            try:
                yield
            finally:
                leases.append("given back")

        def end():
            ended.append("begins")
            return functools.cache(lambda: ended.append("gone"))

        session = Session(
            request=make_request(job, **changes),
            device=cpu_device,
            candidate=candidate,
            reference=reference,
            report_progress=lambda *news: told.append(news),
            lease=lease,
            inspector=DeviceInspector(CPU),
            end_candidate=end,
        )
        session.told, session.leases, session.ended = told, leases, ended
        return session

    return build


def _serve(channel, folder):
    with contextlib.suppress(PeerGone):  # the judge may hang up before it has its answer
        serve(channel, CPU, folder)


@pytest.fixture
def start_runner(tmp_path):
    """A runner's end of a channel served by a thread; returns the judge's end, warm."""
    started = []

    def start(name="runner"):
        ours, theirs = channel_pair()
        folder = tmp_path / name
        folder.mkdir()
        thread = threading.Thread(target=_serve, args=(Channel(theirs, FromJudgeToRunner), folder))
        thread.start()
        started.append((thread, ours, theirs))
        assert Channel(ours, FromNewRunner).receive(60) == Warm()
        return ours

    yield start
    for thread, ours, theirs in started:
        ours.close()
        thread.join(60)
        theirs.close()


@pytest.fixture
def host(start_runner):
    """A HostedKernel whose runner is a thread."""
    hosted = []

    def build(role="candidate", name="runner"):
        link = RunnerLink(role, start_runner(name), Deadline(60))
        hosted.append(HostedKernel(link, "cpu", LIMITS))
        return hosted[-1]

    yield build
    for kernel in hosted:
        kernel.link.close()
        kernel.lender.release()


class ScriptedRunner:
    """Somebody on a runner's end of the channel who says what the script says."""

    def __init__(self, script):
        self.ours, self._theirs = channel_pair()
        self._channel = Channel(self._theirs, FromJudgeToRunner)
        self._thread = threading.Thread(target=self._run, args=(script,))
        self._thread.start()

    def _run(self, script):
        with self._theirs:
            script(self._channel)

    def end(self):
        self.ours.close()
        self._thread.join(60)


@pytest.fixture
def scripted():
    """Start a scripted runner; returns the judge's end of its channel."""
    runners = []

    def start(script):
        runners.append(ScriptedRunner(script))
        return runners[-1].ours

    yield start
    for runner in runners:
        runner.end()
