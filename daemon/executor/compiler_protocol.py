"""What the daemon asks a compiler, and what the compiler answers: one question, one answer.

::

    DAEMON ──Compile + memory for the archive──► COMPILER
           ◄─Compiled | Failed──────────────────

A compiler runs users' code (a module is executed to see what it builds), so its answer is bounded and checked. The
archive it writes lies in memory of the daemon's, of a size that cannot change.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from kbd.daemon.executor.protocol import Count, Message, Name
from kbd.daemon.executor.runner_protocol import Answer, Failed
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import KernelCode


class Compile(Message):
    """Build this kernel. A descriptor of `archive_bytes` bytes comes along; `jobs`: how many processes at once.

    `memory_bytes`: private memory of each process of the build; None is no limit.
    """

    kind: Literal["compile"] = "compile"
    kernel: KernelCode
    target: Literal["cpu", "cuda"]
    arch: Name | None
    contracts: tuple[BoundContract, ...] = ()
    archive_bytes: Count
    jobs: int = Field(ge=1)
    memory_bytes: Count | None = None


class Compiled(Answer):
    """The archive takes the first `nbytes` bytes of the memory.

    `unfinished`: something could not be built without the device and is built where the kernel is loaded; why.
    """

    kind: Literal["compiled"] = "compiled"
    nbytes: Count
    unfinished: Annotated[str, Field(max_length=4096)] | None = None


FromDaemonToCompiler: TypeAdapter[Compile] = TypeAdapter(Compile)
FromCompiler: TypeAdapter[Compiled | Failed] = TypeAdapter(
    Annotated[Compiled | Failed, Field(discriminator="kind")]
)
