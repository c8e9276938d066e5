"""The examination of a sandbox: what daemon and examinee say to each other, and the child's side of it.

::

    DAEMON ──Examine──► EXAMINEE (in a sandbox)    what works here, what is not denied?
           ◄─Examined──
           ──Provoke──►                            try to kill PID 1
           ◄─StillHere──                           (silence: it could)
    DAEMON ──Lend──► EXAMINEE (without a sandbox)  device memory for the other to open
           ◄─Lent──
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.sandbox.denials import Prey, breaches
from kbd.daemon.executor.sandbox.plan import SHARED_MEMORY

UNUSED_MODULE = "colorsys"
"""Of the standard library, and imported by nothing: importing it now reads a file."""
PROGRAM_LIMIT_S = 20
LENT_BYTES = 2 << 20
LENT_VALUE = 7


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Examine(_Message):
    """Try everything. `handle`: device memory that another process lent."""

    kind: Literal["examine"] = "examine"
    prey: Prey
    cuda: bool
    handle: str | None = None


class Examined(_Message):
    """What does not work that must, and what was not denied that must be."""

    kind: Literal["examined"] = "examined"
    faults: dict[str, str]
    breaches: dict[str, str]


class Provoke(_Message):
    """Try to kill PID 1."""

    kind: Literal["provoke"] = "provoke"


class StillHere(_Message):
    """PID 1 lives, or I would not."""

    kind: Literal["still_here"] = "still_here"


class Lend(_Message):
    """Allocate device memory and hand out its handle."""

    kind: Literal["lend"] = "lend"


class Lent(_Message):
    """The handle; the memory is there until the channel closes."""

    kind: Literal["lent"] = "lent"
    handle: str


FromExaminer: TypeAdapter[Examine | Provoke | Lend] = TypeAdapter(
    Annotated[Examine | Provoke | Lend, Field(discriminator="kind")]
)
FromExaminee: TypeAdapter[Examined | StillHere | Lent] = TypeAdapter(
    Annotated[Examined | StillHere | Lent, Field(discriminator="kind")]
)


def serve(channel: Channel[Any]) -> None:
    """Answer until the daemon closes the channel."""
    with contextlib.ExitStack() as held:
        while True:
            try:
                message = channel.receive()
            except PeerGone:
                return
            match message:
                case Examine():
                    channel.send(Examined(faults=faults(message), breaches=breaches(message.prey)))
                case Provoke():
                    with contextlib.suppress(OSError):
                        os.kill(1, signal.SIGKILL)
                    channel.send(StillHere())
                case Lend():
                    channel.send(Lent(handle=_lend(held)))


def faults(examine: Examine) -> dict[str, str]:
    """What a kernel needs and does not get here."""
    found = {}
    for name, check in _checks(examine):
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is the finding
            found[name] = f"{type(error).__name__}: {error}"[:1000]
    return found


def _checks(examine: Examine) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "importing a module", lambda: importlib.import_module(UNUSED_MODULE)
    yield "writing files", _write_files
    yield "running a program", _run_program
    yield "computing", lambda: _compute(examine.cuda)
    if examine.handle is not None:
        yield "opening device memory", lambda: _open_lent(str(examine.handle))


def _write_files() -> None:
    for folder in (Path.cwd(), Path(tempfile.gettempdir()), Path(SHARED_MEMORY)):
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"kbd")


def _run_program() -> None:
    command = [sys.executable, "-I", "-S", "-c", ""]
    subprocess.run(command, check=True, capture_output=True, timeout=PROGRAM_LIMIT_S)


def _compute(cuda: bool) -> None:
    import torch

    from kbd.daemon.runner.main import warm_up

    warm_up(torch.device("cuda:0" if cuda else "cpu"))


def _lend(held: contextlib.ExitStack) -> str:
    import torch

    from kbd.daemon.executor.shared_memory import Arena

    arena = Arena(LENT_BYTES, "cuda")
    held.callback(arena.release)
    arena.memory.fill_(LENT_VALUE)
    torch.cuda.synchronize()
    assert arena.handle is not None
    return arena.handle


def _open_lent(handle: str) -> None:
    from kbd.daemon.executor.shared_memory import map_arena

    found = int(map_arena(LENT_BYTES, handle, [])[-1].item())
    if found != LENT_VALUE:
        raise RuntimeError(f"expected {LENT_VALUE} in the memory that was lent, found {found}")
