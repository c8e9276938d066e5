"""Everything that processes of kbd say to each other, in one file.

::

    DAEMON ──Fork──────────────► NURSERY      fork me a runner or a judge
           ◄─Ready, Forked──────
    DAEMON ──Evaluate, Lease, Probe──► JUDGE  here is a job and two runner sockets; is the device well?
           ◄─Progress, Evaluated, Probed
    JUDGE  ──Load, Map, Bind, MakeInputs, Run, Export, Prepare, Burst──► RUNNER
           ◄─Loaded, Made, Ran, Exported, Prepared, Done, Okay, Failed──

A runner hosts code that may lie, so what it says is bounded in size, checked against these models and
believed only where a lie can hurt nobody but itself. Descriptors travel only away from the daemon and the
judge, never back: a runner cannot hand over a file whose meaning it chose.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import Evaluation, KernelCode
from kbd.outbox.circumstances import DeviceReport

Role: TypeAlias = Literal["candidate", "reference"]
Text: TypeAlias = Annotated[str, Field(max_length=65_536)]
Name: TypeAlias = Annotated[str, Field(max_length=256)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=1 << 48)]

LONGEST_US = 1e12
LARGEST_TENSOR_ELEMENTS = 1 << 40


class Message(BaseModel):
    """One frame: frozen, without surplus fields, and finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- what several of them carry ---------------------------------------------------------------------


class DeviceTarget(Message):
    """The device that a process works on. `visible` is what CUDA_VISIBLE_DEVICES is set to (a UUID)."""

    kind: Literal["cpu", "cuda"]
    visible: Name = ""
    threads: int = Field(default=1, ge=1)

    @property
    def torch_name(self) -> str:
        """The name torch knows it by inside a process that sees this device alone."""
        return "cuda:0" if self.kind == "cuda" else "cpu"


class TensorMeta(Message):
    """What a tensor looks like; `stride` in elements, absent when contiguous."""

    shape: tuple[Count, ...] = Field(max_length=32)
    dtype: Name
    stride: tuple[Count, ...] | None = Field(default=None, max_length=32)
    device: Name = "cpu"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.stride is not None and len(self.stride) != len(self.shape):
            raise ValueError("a stride for every dimension")
        stride = self.stride or ()
        reach = sum((size - 1) * step for size, step in zip(self.shape, stride, strict=False) if size)
        if max(math.prod(self.shape), reach) > LARGEST_TENSOR_ELEMENTS:
            raise ValueError(f"at most {LARGEST_TENSOR_ELEMENTS} elements")
        return self


class Slot(Message):
    """Where a tensor lies: `offset` bytes into a mapped arena."""

    arena: Count
    offset: Count
    meta: TensorMeta


class Values(Message):
    """A tree of plain values with its tensors taken out (see kbd.daemon.runner.values)."""

    tree: Any
    tensors: tuple[TensorMeta, ...] = Field(default=(), max_length=4096)


# --- daemon and nursery -----------------------------------------------------------------------------


class Fork(Message):
    """Fork a child into `folder`, as the daemon's own user or into a sandbox.

    Beside this frame travel its socket, the pipe for its output and the pipe for the report of its end. An
    `examinee` is a child of kbd's own that tries what a sandbox denies.
    """

    kind: Literal["fork"] = "fork"
    token: Count
    child: Literal["runner", "judge", "examinee"]
    folder: str
    device: DeviceTarget
    sandbox: Sandbox | None = None


class Ready(Message):
    """The nursery has imported everything and can fork."""

    kind: Literal["ready"] = "ready"
    environment: dict[str, str | None]


class Forked(Message):
    """Child `pid` runs; it has become a child of the daemon."""

    kind: Literal["forked"] = "forked"
    token: Count
    pid: int = Field(gt=0)


class ForkFailed(Message):
    """The operating system refused the fork."""

    kind: Literal["fork_failed"] = "fork_failed"
    token: Count
    message: Text


# --- daemon and judge -------------------------------------------------------------------------------


class WorkloadPlan(Message):
    """One binding of the job's axes.

    `inputs` is the contract that the judge draws the inputs from; None when a module makes them. Each kernel
    is called by its own contract, which may name outputs, scalars and launch differently.
    """

    name: str
    axes: dict[str, int] = {}
    inputs: BoundContract | None = None
    candidate: BoundContract | None = None
    reference: BoundContract | None = None


class StageLimits(Message):
    """Seconds that one answer of a runner may take in each stage."""

    load_s: float = Field(gt=0)
    correctness_s: float = Field(gt=0)
    timing_s: float = Field(gt=0)
    timing_budget_s: float = Field(gt=0)


class Evaluate(Message):
    """A whole job for a judge. Sockets of the candidate's and then the reference's runner come along."""

    kind: Literal["evaluate"] = "evaluate"
    job_id: str
    candidate: KernelCode
    reference: KernelCode | None
    workloads: tuple[WorkloadPlan, ...]
    evaluation: Evaluation
    folder: str | None = None
    seconds_left: float
    limits: StageLimits


class Probe(Message):
    """Is the device usable? Asked between jobs, when the last one ended badly."""

    kind: Literal["probe"] = "probe"


class Probed(Message):
    """What a tiny kernel said; `problem` is None when all is well. Sizes are of the whole device."""

    kind: Literal["probed"] = "probed"
    seconds: float
    free_bytes: Count | None = None
    problem: Text | None = None


class JudgeReady(Message):
    """The judge has its device."""

    kind: Literal["judge_ready"] = "judge_ready"
    device: DeviceReport


class Progress(Message):
    """What the judge is waiting for now, so that a stall can be blamed rightly."""

    kind: Literal["progress"] = "progress"
    stage: Name
    role: Role | None = None
    workload: str | None = None


class LeaseWanted(Message):
    """The judge is about to time; nothing else may use the device until `LeaseReleased`."""

    kind: Literal["lease_wanted"] = "lease_wanted"


class LeaseGranted(Message):
    """The device is the judge's alone."""

    kind: Literal["lease_granted"] = "lease_granted"


class LeaseReleased(Message):
    """Timing is over."""

    kind: Literal["lease_released"] = "lease_released"


class Evaluated(Message):
    """The end of an evaluation."""

    kind: Literal["evaluated"] = "evaluated"
    verdict: Verdict


# --- judge to runner --------------------------------------------------------------------------------


class Question(Message):
    """What a judge asks. The answer repeats the nonce: one that was written in advance cannot."""

    nonce: Count = 0


class Load(Question):
    """Make the kernel callable. `init_inputs` absent: ask the module for its own `get_init_inputs`."""

    kind: Literal["load"] = "load"
    role: Role
    kernel: KernelCode
    contract: BoundContract | None
    init_seed: int
    init_inputs: Values | None = None
    init_slots: tuple[Slot, ...] = ()


class Map(Question):
    """A piece of memory of the judge's: a descriptor beside the frame, or a device-memory handle (base64)."""

    kind: Literal["map"] = "map"
    arena: Count
    nbytes: Count
    handle: Name | None = None


class Bind(Question):
    """Input set `index`: the values, with their tensors where the slots say."""

    kind: Literal["bind"] = "bind"
    index: Count
    values: Any
    slots: tuple[Slot, ...]
    outputs: tuple[Slot, ...] = ()


class MakeInputs(Question):
    """Call the module's `get_inputs()` under this seed."""

    kind: Literal["make_inputs"] = "make_inputs"
    seed: int


class Run(Question):
    """Call the kernel once on input set `index`."""

    kind: Literal["run"] = "run"
    index: Count


class Export(Question):
    """Copy the tensors made last (inputs, outputs or constructor arguments) into these slots."""

    kind: Literal["export"] = "export"
    what: Literal["inputs", "outputs", "init_inputs"]
    slots: tuple[Slot, ...]


class Prepare(Question):
    """Get ready for bursts of these many launches, cycling over the first `sets` input sets."""

    kind: Literal["prepare"] = "prepare"
    sets: int = Field(ge=1)
    lengths: tuple[int, ...]
    method: Literal["graph", "eager"]


class Burst(Question):
    """Run burst number `index` of those prepared, wait for the device, answer."""

    kind: Literal["burst"] = "burst"
    index: Count


# --- runner to judge --------------------------------------------------------------------------------


class Answer(Message):
    """What a runner says, to the question with this nonce."""

    nonce: Count = 0


class Warm(Answer):
    """The first word of a new runner, before any user's code is near it: settled in, device initialised."""

    kind: Literal["warm"] = "warm"


class Loaded(Answer):
    """The kernel can be called."""

    kind: Literal["loaded"] = "loaded"
    setup_us: float = Field(ge=0, le=LONGEST_US)
    makes_inputs: bool
    init_inputs: Values | None = None


class Made(Answer):
    """What `get_inputs()` gave."""

    kind: Literal["made"] = "made"
    values: Values


class Ran(Answer):
    """What the kernel returned; `peak_bytes` is the device memory it claims to have used."""

    kind: Literal["ran"] = "ran"
    values: Values
    peak_bytes: Count | None = None


class Prepared(Answer):
    """Bursts are ready; `method` may be weaker than asked, then `reason` says why."""

    kind: Literal["prepared"] = "prepared"
    method: Literal["graph", "eager"]
    reason: Text | None = None


class Done(Answer):
    """A burst is over; the runner's own figure decides nothing."""

    kind: Literal["done"] = "done"
    claimed_us: float = Field(ge=0, le=LONGEST_US)


class Okay(Answer):
    """Mapped, bound or exported."""

    kind: Literal["okay"] = "okay"


class Failed(Answer):
    """The user's code raised, or cannot be run here. The text is the user's own traceback."""

    kind: Literal["failed"] = "failed"
    status: Literal["compile_error", "runtime_error", "out_of_memory", "unsupported"]
    type: Name
    message: Text
    hint: Text | None = None
    traceback_tail: Text | None = None


FromDaemonToNursery: TypeAdapter[Fork] = TypeAdapter(Fork)
FromNursery: TypeAdapter[Ready | Forked | ForkFailed] = TypeAdapter(
    Annotated[Ready | Forked | ForkFailed, Field(discriminator="kind")]
)
FromDaemonToJudge: TypeAdapter[Evaluate | LeaseGranted | Probe] = TypeAdapter(
    Annotated[Evaluate | LeaseGranted | Probe, Field(discriminator="kind")]
)
FromJudge: TypeAdapter[JudgeReady | Progress | LeaseWanted | LeaseReleased | Evaluated | Probed] = (
    TypeAdapter(
        Annotated[
            JudgeReady | Progress | LeaseWanted | LeaseReleased | Evaluated | Probed,
            Field(discriminator="kind"),
        ]
    )
)
FromJudgeToRunner: TypeAdapter[Load | Map | Bind | MakeInputs | Run | Export | Prepare | Burst] = TypeAdapter(
    Annotated[Load | Map | Bind | MakeInputs | Run | Export | Prepare | Burst, Field(discriminator="kind")]
)
FromNewRunner: TypeAdapter[Warm] = TypeAdapter(Warm)
FromRunner: TypeAdapter[Loaded | Made | Ran | Prepared | Done | Okay | Failed] = TypeAdapter(
    Annotated[Loaded | Made | Ran | Prepared | Done | Okay | Failed, Field(discriminator="kind")]
)
