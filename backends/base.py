"""How a kernel becomes callable: what every backend offers and how it says that it cannot.

    KernelError             the user's kernel is at fault, never the harness
    ├── CompileFailed       its source does not compile (-> compile_error)
    ├── LaunchFailed        it cannot be launched as its contract says (-> runtime_error)
    ├── LoadFailed          it compiled, but there is nothing here to call (-> runtime_error)
    └── Unsupported         a fair request that cannot be met here (-> unsupported)

A backend is three verbs: `compile(request, folder) -> Artifact`, `load(artifact, context) -> Executable`, and the
executable's own `(inputs, outputs) -> outputs`. Only `load` and the executable run where the device is. Two
questions come before: `why_unavailable(target)` and `needs_compiler(kernel)`. The daemon asks them, and imports
neither torch nor anything else that is heavy; a backend's module imports such things inside its verbs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import KernelCode

if TYPE_CHECKING:
    import torch

Role = Literal["candidate", "reference"]
ARTIFACT_FILE = "artifact.json"


class KernelError(Exception):
    """The kernel cannot be used; `hint` tells its author what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class CompileFailed(KernelError):
    """The source does not compile; `output` is the compiler's own text."""

    def __init__(self, message: str, *, output: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.output = output


class LoadFailed(KernelError):
    """The compiled kernel has nothing that can be called as the job asks."""


class LaunchFailed(KernelError):
    """The kernel and the launch that its contract asks for do not go together on this device."""


class Unsupported(KernelError):
    """The request is legitimate and cannot be met on this machine or by this version."""


@dataclass(frozen=True)
class Target:
    """What to compile for: device kind, and the architecture (`sm_90`) where there is one."""

    kind: Literal["cpu", "cuda"]
    arch: str | None = None


@dataclass(frozen=True)
class CompileRequest:
    """A kernel to build, and for what. `contracts`: one per workload, none where the job has no contract."""

    kernel: KernelCode
    target: Target
    contracts: tuple[BoundContract, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """The outcome of compiling: a folder of files, and what `load` has to know about them.

    It is data: written to `artifact.json` in its folder and read from there, possibly under another path and by
    another process. `entry` is what is called in it; `properties` are JSON.
    """

    kernel_type: str
    folder: Path
    entry: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)

    def write(self) -> None:
        """Put `artifact.json` into the folder."""
        described = {"kernel_type": self.kernel_type, "entry": self.entry, "properties": self.properties}
        (self.folder / ARTIFACT_FILE).write_text(json.dumps(described, allow_nan=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The artifact that lies in a folder. Raises ValueError when none does."""
        try:
            described = json.loads((folder / ARTIFACT_FILE).read_text(encoding="utf-8"))
            return cls(described["kernel_type"], folder, described["entry"], described["properties"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{folder} holds no artifact: {error}") from None


@dataclass(frozen=True)
class LoadContext:
    """What a kernel needs to come to life.

    `init_inputs` are the constructor arguments (the reference's, for both kernels); None asks the module for
    its own. `init_seed` is the same for both constructors, so that equal layers get equal weights.
    """

    kernel: KernelCode
    role: Role
    device: torch.device
    contracts: tuple[BoundContract, ...]
    init_seed: int
    init_inputs: list[Any] | None = None


class Executable(Protocol):
    """A kernel that can be called.

    `interpreted`: not compiled for its device, so its speed means nothing. `resources`: what the compiler said of
    each kernel (`registers`, `shared_bytes`, `spills`), by the kernel's name.
    """

    init_inputs: list[Any]
    takes_outputs: bool
    """Whether it writes to buffers that it is given, and so has any use for them."""
    interpreted: bool
    resources: dict[str, dict[str, int]]

    @property
    def makes_inputs(self) -> bool:
        """Whether the module brings its own `get_inputs()`."""

    def make_inputs(self, seed: int) -> list[Any]:
        """Positional arguments as the module's `get_inputs()` gives them, on this kernel's device."""

    def bind(self, contract: BoundContract) -> None:
        """Put the contract of a workload in force."""

    def call_on(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Callable[[], Any]:
        """A call on these arguments, everything prepared that need not be done at each call.

        `inputs` are in the order of `contract.inputs`. `outputs` are buffers of the judge's, one for each pure
        output of the contract; where there are none, the executable makes its own. The call returns the tensors
        that hold the outputs.
        """

    def __call__(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Any:
        """Run once on these arguments, as `call_on` describes them."""


@runtime_checkable
class Precise(Protocol):
    """An executable that has a form of its own for float64."""

    def in_float64(self) -> Callable[[list[Any]], Any]:
        """The same computation, to be called on inputs whose floating tensors are float64; raises anything."""


class BareExecutable:
    """What every kernel without Python code of its own has in common: no constructor, and no inputs of its own."""

    takes_outputs = True

    def __init__(self) -> None:
        self.init_inputs: list[Any] = []
        self.interpreted = False
        self.resources: dict[str, dict[str, int]] = {}
        self._contract: BoundContract | None = None

    @property
    def contract(self) -> BoundContract:
        """The contract in force."""
        if self._contract is None:
            raise LoadFailed("a bare kernel is called by a contract, and the job has none", hint="add io")
        return self._contract

    @property
    def makes_inputs(self) -> bool:
        """Never: the contract describes its inputs."""
        return False

    def make_inputs(self, seed: int) -> list[Any]:
        """There are none to make. Raises LoadFailed."""
        raise LoadFailed(f"a bare kernel has no get_inputs() to be called under seed {seed}")

    def bind(self, contract: BoundContract) -> None:
        """Put the contract of a workload in force."""
        self._contract = contract

    def call_on(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Callable[[], Any]:
        """A call on these arguments; see Executable."""
        raise NotImplementedError

    def __call__(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Any:
        """Run once."""
        return self.call_on(inputs, outputs)()


class Backend(Protocol):
    """One kernel type."""

    kernel_type: str

    def why_unavailable(self, target: Target) -> str | None:
        """What is missing here for kernels of this type on `target`; None when they can run."""

    def needs_compiler(self, kernel: KernelCode) -> bool:
        """Whether `compile` runs a compiler; if not, it is quick and done where the kernel is loaded."""

    def compile(self, request: CompileRequest, folder: Path) -> Artifact:
        """Build into `folder` without touching a device. Raises CompileFailed or Unsupported."""

    def load(self, artifact: Artifact, context: LoadContext) -> Executable:
        """Make it callable on `context.device`. Raises LoadFailed, Unsupported or what the module raises."""
