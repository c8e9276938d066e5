"""What the daemon says to the nursery and to its judges, and what they answer.

::

    DAEMON ──Fork──────────────► NURSERY      fork me a runner, a judge or a compiler
           ◄─Ready, Forked──────
    DAEMON ──Evaluate, Lease, Probe──► JUDGE  here is a job and two runner sockets; is the device well?
           ◄─Progress, CandidateDone, Evaluated, Probed

What judge and runner say to each other is in runner_protocol.py.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import Evaluation, KernelCode
from kbd.outbox.circumstances import DeviceReport

Role: TypeAlias = Literal["candidate", "reference"]
Text: TypeAlias = Annotated[str, Field(max_length=65_536)]
Name: TypeAlias = Annotated[str, Field(max_length=256)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=1 << 48)]


class Message(BaseModel):
    """One frame: frozen, without surplus fields, and finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- what several of them carry ---------------------------------------------------------------------


class DeviceTarget(Message):
    """The device that a process works on. `visible` is what CUDA_VISIBLE_DEVICES is set to (a UUID).

    `arch` is what kernels are compiled for (`sm_90`); None on the CPU, and where the driver does not tell it.
    `connections`: queues between the process and a CUDA device; None leaves that to the driver. `cores`: those that
    the process may use; none named: all of the daemon's.
    """

    kind: Literal["cpu", "cuda"]
    visible: Name = ""
    arch: Name | None = None
    threads: int = Field(default=1, ge=1)
    connections: int | None = Field(default=None, ge=1, le=32)
    cores: tuple[int, ...] = ()

    @property
    def torch_name(self) -> str:
        """The name torch knows it by inside a process that sees this device alone."""
        return "cuda:0" if self.kind == "cuda" else "cpu"


# --- daemon and nursery -----------------------------------------------------------------------------


class Fork(Message):
    """Fork a child into `folder`, as the daemon's own user or into a sandbox.

    Beside this frame travel its socket, the pipe for its output and the pipe for the report of its end. An
    `examinee` is a child of kbd's own that tries what a sandbox denies.
    """

    kind: Literal["fork"] = "fork"
    token: Count
    child: Literal["runner", "judge", "compiler", "examinee"]
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


class Archive(Message):
    """What a compiler made of one kernel, as bytes in a descriptor."""

    role: Role
    nbytes: Count


class Evaluate(Message):
    """A whole job for a judge. Sockets of the candidate's and then the reference's runner come along.

    Then the descriptors of the `archives`, in their order. `memory_bytes`, `device_memory_bytes`: what one runner
    may use; None is not known, or all. `pids`: of these runners, where their CPU time tells something.
    """

    kind: Literal["evaluate"] = "evaluate"
    job_id: str
    attempt: int = Field(default=1, ge=1)
    candidate: KernelCode
    reference: KernelCode | None
    workloads: tuple[WorkloadPlan, ...]
    evaluation: Evaluation
    folder: str | None = None
    seconds_left: float
    limits: StageLimits
    archives: tuple[Archive, ...] = ()
    memory_bytes: Count | None = None
    device_memory_bytes: Count | None = None
    pids: tuple[int, ...] = ()


class Probe(Message):
    """Is the device usable? Asked between jobs, when the last one ended badly."""

    kind: Literal["probe"] = "probe"


class Probed(Message):
    """What a tiny kernel said; `problem` is None when all is well. Sizes are of the whole device."""

    kind: Literal["probed"] = "probed"
    seconds: float
    free_bytes: Count | None = None
    problem: Text | None = None


class Forget(Message):
    """The reference of the last job will serve another; its candidate is gone. Let it forget what it has."""

    kind: Literal["forget"] = "forget"


class Forgotten(Message):
    """Whether the reference's runner has forgotten; if not, it must be ended."""

    kind: Literal["forgotten"] = "forgotten"
    done: bool


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


class CandidateDone(Message):
    """Nothing more is asked of the candidate: its process is to be ended now."""

    kind: Literal["candidate_done"] = "candidate_done"


class CandidateEnded(Message):
    """The candidate's process is gone, and all that it had on the device."""

    kind: Literal["candidate_ended"] = "candidate_ended"


class Evaluated(Message):
    """The end of an evaluation."""

    kind: Literal["evaluated"] = "evaluated"
    verdict: Verdict


FromDaemonToNursery: TypeAdapter[Fork] = TypeAdapter(Fork)
FromNursery: TypeAdapter[Ready | Forked | ForkFailed] = TypeAdapter(
    Annotated[Ready | Forked | ForkFailed, Field(discriminator="kind")]
)
JudgeHears: TypeAlias = Evaluate | LeaseGranted | CandidateEnded | Probe | Forget
FromDaemonToJudge: TypeAdapter[JudgeHears] = TypeAdapter(Annotated[JudgeHears, Field(discriminator="kind")])
JudgeSays: TypeAlias = (
    JudgeReady | Progress | LeaseWanted | LeaseReleased | CandidateDone | Evaluated | Probed | Forgotten
)
FromJudge: TypeAdapter[JudgeSays] = TypeAdapter(Annotated[JudgeSays, Field(discriminator="kind")])
