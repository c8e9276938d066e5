"""How a kernel becomes callable: what every backend offers and how it says that it cannot.

    KernelError             the user's kernel is at fault, never the harness
    ├── CompileFailed       its source does not compile (-> compile_error)
    ├── LoadFailed          it compiled, but there is nothing here to call (-> runtime_error)
    └── Unsupported         a fair request that cannot be met here (-> unsupported)

A backend is three verbs: `compile(kernel, target, folder) -> Artifact`, `load(artifact, context) ->
Executable`, and the executable's own `(inputs, outputs) -> outputs`. Only `load` and the executable run where
the device is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import KernelCode

if TYPE_CHECKING:
    import torch

Role = Literal["candidate", "reference"]


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


class Unsupported(KernelError):
    """The request is legitimate and cannot be met on this machine or by this version."""


@dataclass(frozen=True)
class Target:
    """What to compile for: device kind, and the architecture (`sm_90`) where there is one."""

    kind: Literal["cpu", "cuda"]
    arch: str | None = None


@dataclass(frozen=True)
class Artifact:
    """The outcome of compiling: `path` is what `load` reads; `properties` go into the result."""

    kernel_type: str
    path: Path
    entry: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadContext:
    """What a kernel needs to come to life.

    `init_inputs` are the constructor arguments (the reference's, for both kernels); None asks the module for
    its own. `init_seed` is the same for both constructors, so that equal layers get equal weights.
    """

    kernel: KernelCode
    role: Role
    device: torch.device
    contract: BoundContract | None
    init_seed: int
    init_inputs: list[Any] | None = None


class Executable(Protocol):
    """A kernel that can be called."""

    init_inputs: list[Any]

    @property
    def makes_inputs(self) -> bool:
        """Whether the module brings its own `get_inputs()`."""

    def make_inputs(self, seed: int) -> list[Any]:
        """Positional arguments as the module's `get_inputs()` gives them, on this kernel's device."""

    def __call__(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Any:
        """Run once. `outputs` are buffers of the judge's, for kernels that write where they are told."""


class Backend(Protocol):
    """One kernel type."""

    kernel_type: str

    def compile(self, kernel: KernelCode, target: Target, folder: Path) -> Artifact:
        """Build without touching a device. Raises CompileFailed or Unsupported."""

    def load(self, artifact: Artifact, context: LoadContext) -> Executable:
        """Make it callable on `context.device`. Raises LoadFailed, Unsupported or what the module raises."""
