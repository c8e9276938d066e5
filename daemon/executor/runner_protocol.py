"""What a judge asks a runner, and what the runner answers.

::

    JUDGE  ──TakeArtifact, Load, Map, Bind, MakeInputs, Run, Launches, Export──► RUNNER
           ──BindSets, Prepare, Burst, Listen──────────────────────────────────►           (timing)
           ◄─Loaded, Made, Ran, Launched, SetsBound, Prepared, Done, Okay, Failed────────────

A runner hosts code that may lie, so what it says is bounded in size, checked against these models and
believed only where a lie can hurt nobody but itself. Descriptors travel only away from the daemon and the
judge, never back: a runner cannot hand over a file whose meaning it chose.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from kbd.daemon.executor.protocol import Count, Message, Name, Role, Text
from kbd.daemon.executor.tensor_messages import Slot, TensorMeta, Values
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import KernelCode
from kbd.outbox.report import MemoryReport

LONGEST_US = 1e12
OTHER_TENSORS = "a launch that was timed returned other tensors than one that was not"
MAX_LAUNCHES = 256
"""Different ones in one call."""
MOST_SETS = 4096
MOST_BURSTS = 16
MOST_HANDLES = 512
MOST_PLACES = 16_384
"""Outputs of all launches together whose places are told; more would make too long a frame."""

Handle: TypeAlias = Annotated[str, Field(max_length=128)]
"""Of memory on a device, for another process (base64)."""


# --- questions --------------------------------------------------------------------------------------


class Question(Message):
    """What a judge asks. The answer repeats the nonce: one that was written in advance cannot."""

    nonce: Count = 0


class TakeArtifact(Question):
    """What a compiler made of the kernel: an archive of `nbytes` bytes, in the descriptor beside this frame."""

    kind: Literal["take_artifact"] = "take_artifact"
    nbytes: Count


class Load(Question):
    """Make the kernel callable. `init_inputs` absent: ask the module for its own `get_init_inputs`.

    `contracts` are the kernel's own, one for each workload; none where the job has no contract.
    """

    kind: Literal["load"] = "load"
    role: Role
    kernel: KernelCode
    contracts: tuple[BoundContract, ...] = ()
    init_seed: int
    init_inputs: Values | None = None
    init_slots: tuple[Slot, ...] = ()


class ForgetJob(Question):
    """Be as before `load`, with nothing of the judge's memory mapped: another job with this kernel will come."""

    kind: Literal["forget_job"] = "forget_job"


class Map(Question):
    """A piece of memory of the judge's: a descriptor beside the frame, or a device-memory handle (base64)."""

    kind: Literal["map"] = "map"
    arena: Count
    nbytes: Count
    handle: Handle | None = None


class Bind(Question):
    """Input set `index` of a workload: the values, with their tensors where the slots say."""

    kind: Literal["bind"] = "bind"
    index: Count
    workload: Count = 0
    values: Any
    slots: tuple[Slot, ...]
    outputs: tuple[Slot, ...] = ()


class MakeInputs(Question):
    """Call the module's `get_inputs()` under this seed."""

    kind: Literal["make_inputs"] = "make_inputs"
    seed: int


class Run(Question):
    """Call the kernel once on input set `index`; `precisely`: before that once in float64, on copies.

    What it returns is copied into the slots at once if it looks like them, which saves a question.
    """

    kind: Literal["run"] = "run"
    index: Count
    precisely: bool = False
    outputs: tuple[Slot, ...] = ()
    precise: tuple[Slot, ...] = ()


class Launches(Question):
    """Call the kernel once on input set `index` and tell which kernels that launched."""

    kind: Literal["launches"] = "launches"
    index: Count


class Export(Question):
    """Copy the tensors made last into these slots, converted to the dtypes of the slots.

    `precise` are the outputs of the run in float64.
    """

    kind: Literal["export"] = "export"
    what: Literal["inputs", "outputs", "precise", "init_inputs"]
    slots: tuple[Slot, ...]


class BindSets(Question):
    """Input sets 0 … count-1 for bursts: the tensors of set i lie i strides behind those of set 0.

    `outputs`: buffers for kernels that write where they are told, laid out likewise.
    """

    kind: Literal["bind_sets"] = "bind_sets"
    workload: Count = 0
    count: int = Field(ge=1, le=MOST_SETS)
    values: Any
    slots: tuple[Slot, ...]
    stride: Count
    outputs: tuple[Slot, ...] = ()
    output_stride: Count = 0


class Prepare(Question):
    """Get ready for bursts: each a launch on every set that it names, in that order.

    `kept`: where what a launch on set 0 returns is copied by bursts that are to keep it; for set i it is i strides
    behind, and there is room for `kept_sets`. `expose`: tell where captured launches leave what they return.
    """

    kind: Literal["prepare"] = "prepare"
    bursts: tuple[tuple[Count, ...], ...]
    method: Literal["graph", "eager"]
    expose: bool = False
    kept: tuple[Slot, ...] = ()
    kept_stride: Count = 0
    kept_sets: int = Field(default=0, ge=0, le=MOST_SETS)


class Burst(Question):
    """Run burst number `index` of those prepared, wait for the device, answer.

    `keep`: what each launch returns is copied, before the next one, to where `Prepare` said.
    """

    kind: Literal["burst"] = "burst"
    index: Count
    keep: bool = False


class Listen(Question):
    """Do bursts at the ring of a doorbell, whose page comes along, until it says stop; answer only then."""

    kind: Literal["listen"] = "listen"


# --- answers ----------------------------------------------------------------------------------------


class Answer(Message):
    """What a runner says, to the question with this nonce."""

    nonce: Count = 0


class Warm(Answer):
    """The first word of a new runner, before any user's code is near it: settled in, device initialised."""

    kind: Literal["warm"] = "warm"


class Loaded(Answer):
    """The kernel can be called. `takes_outputs`: it writes to buffers that it is given.

    `notes` are remarks on its text, made before any of it ran.
    """

    kind: Literal["loaded"] = "loaded"
    setup_us: float = Field(ge=0, le=LONGEST_US)
    makes_inputs: bool
    takes_outputs: bool = False
    interpreted: bool = False
    init_inputs: Values | None = None
    notes: tuple[Text, ...] = Field(default=(), max_length=64)


class Made(Answer):
    """What `get_inputs()` gave."""

    kind: Literal["made"] = "made"
    values: Values


class Ran(Answer):
    """What the kernel returned; `peak_bytes` is the device memory it claims to have used.

    `precise` is what it returned in float64 (its inputs afterwards, where it returned no tensor); None where it
    was not asked, or could not, then `imprecise` says why. `exported` names what lies in its slots already.
    """

    kind: Literal["ran"] = "ran"
    values: Values
    peak_bytes: Count | None = None
    precise: Values | None = None
    imprecise: Text | None = None
    exported: tuple[Literal["outputs", "precise"], ...] = ()


class LaunchSeen(Message):
    """Equal launches as the runner saw them."""

    kernel: Name
    count: int = Field(ge=1, le=1 << 48)
    grid: tuple[Count, ...] | None = Field(default=None, max_length=3)
    block: tuple[Count, ...] | None = Field(default=None, max_length=3)
    num_warps: Count | None = None
    registers: Count | None = None
    shared_bytes: Count | None = None
    spills: Count | None = None
    config: dict[Name, bool | int | float | Name] | None = Field(default=None, max_length=64)


class Launched(Answer):
    """The launches of one call."""

    kind: Literal["launched"] = "launched"
    launches: tuple[LaunchSeen, ...] = Field(max_length=MAX_LAUNCHES)


class SetsBound(Answer):
    """What a launch returns; `in_place`: in the judge's own buffers, one after the other."""

    kind: Literal["sets_bound"] = "sets_bound"
    outputs: tuple[TensorMeta, ...] = Field(default=(), max_length=4096)
    in_place: bool


class Exposure(Message):
    """Where the launches of captured bursts leave what they return, so that nobody needs to be asked for it.

    `handles` are of device allocations; for every burst `places` tells of each output, launch by launch, the number
    of a handle and the bytes from the beginning of its memory.
    """

    handles: tuple[Handle, ...] = Field(default=(), max_length=MOST_HANDLES)
    places: tuple[tuple[tuple[Count, Count], ...], ...] = Field(max_length=MOST_BURSTS)


class Prepared(Answer):
    """Bursts are ready; `method` may be weaker than asked, then `reason` says why.

    `lacked_memory`: that was for lack of the device's memory. `exposure`: None where it was not asked for, or
    memory cannot be shared. `views`: a captured launch returns memory of its inputs, one tensor twice, or elements
    on top of each other.
    """

    kind: Literal["prepared"] = "prepared"
    method: Literal["graph", "eager"]
    reason: Text | None = None
    lacked_memory: bool = False
    exposure: Exposure | None = None
    views: bool = False


class Done(Answer):
    """A burst is over; the runner's own figure decides nothing.

    `unfit`: sets on which a launch of a burst that was kept returned other tensors than there is room for; `views`:
    those on which it returned memory of its inputs, one tensor twice, or elements on top of each other.
    """

    kind: Literal["done"] = "done"
    claimed_us: float = Field(ge=0, le=LONGEST_US)
    unfit: tuple[Count, ...] = Field(default=(), max_length=MOST_SETS)
    views: tuple[Count, ...] = Field(default=(), max_length=MOST_SETS)


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
    memory: MemoryReport | None = None


AnyQuestion: TypeAlias = (TakeArtifact | Load | Map | Bind | MakeInputs | Run | Launches | Export) | (
    BindSets | Prepare | Burst | Listen | ForgetJob
)
FromJudgeToRunner: TypeAdapter[AnyQuestion] = TypeAdapter(Annotated[AnyQuestion, Field(discriminator="kind")])
FromNewRunner: TypeAdapter[Warm] = TypeAdapter(Warm)
AnyAnswer: TypeAlias = Loaded | Made | Ran | Launched | SetsBound | Prepared | Done | Okay | Failed
FromRunner: TypeAdapter[AnyAnswer] = TypeAdapter(Annotated[AnyAnswer, Field(discriminator="kind")])
