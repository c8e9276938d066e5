"""What a runner must not be able to do, tried from inside a sandbox by kbd's own code.

An attempt that is denied raises OSError; one that returns has found a hole and says what it got.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from kbd.daemon.executor.kernel_calls import system_call
from kbd.daemon.executor.sandbox.layers import Layer

DENYING_ERRORS = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS})
PTRACE_ATTACH = 16
CONNECT_LIMIT_S = 2.0
KILLING_INIT = "killing PID 1"
"""Tried last and by itself (see kbd.daemon.executor.sandbox.examination)."""

T = TypeVar("T")
Call: TypeAlias = tuple[str, tuple[object, ...]]


class Prey(BaseModel):
    """What there is to get at on this host: processes, folders with something in them, open sockets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pids: tuple[int, ...]
    folders: tuple[str, ...]
    port: int
    abstract_socket: str


@dataclass(frozen=True)
class Denial:
    """Something that must fail while any of the layers `by` is in force. `attempt` returns what it got."""

    name: str
    by: frozenset[Layer]
    attempt: Callable[[Prey], str]


def breaches(prey: Prey) -> dict[str, str]:
    """Every attempt that was not denied, and what it got."""
    found = {}
    for denial in DENIALS:
        with contextlib.suppress(OSError):
            found[denial.name] = denial.attempt(prey)
    return found


def _any_of(prey_of: Callable[[Prey], Sequence[T]], get: Callable[[T], str]) -> Callable[[Prey], str]:
    """An attempt on the first of several that is not denied."""

    def attempt(prey: Prey) -> str:
        for one in prey_of(prey):
            with contextlib.suppress(OSError):
                return get(one)
        raise PermissionError(errno.EPERM, "every one of them was denied")

    return attempt


def _read_environment(pid: int) -> str:
    Path(f"/proc/{pid}/environ").read_bytes()
    return f"the environment of process {pid} can be read"


def _read_folder(folder: str) -> str:
    os.listdir(folder)
    return f"{folder} can be listed"


def _write(folder: str) -> str:
    path = Path(folder, ".kbd-probe")
    path.touch()
    path.unlink()
    return f"{folder} can be written"


def _signal(pid: int) -> str:
    os.kill(pid, 0)
    return f"process {pid} can be signalled"


def _connect(prey: Prey) -> str:
    with socket.create_connection(("127.0.0.1", prey.port), CONNECT_LIMIT_S):
        return "a TCP port of the host can be reached"


def _connect_abstract(prey: Prey) -> str:
    with socket.socket(socket.AF_UNIX) as end:
        end.connect("\0" + prey.abstract_socket)
    return "an abstract socket of the host can be reached"


def _hold_capabilities(_: Prey) -> str:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held = [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(status[name], 16)]
    if not held:
        raise PermissionError(errno.EPERM, "there are none")
    return f"it holds capabilities: {', '.join(held)}"


def _fork_beyond_limit(_: Prey) -> str:
    """With a limit of one process there is no room for another, if the kernel counts this user's at all."""
    before = resource.getrlimit(resource.RLIMIT_NPROC)
    if before[1] == resource.RLIM_INFINITY:
        return "there is no limit on processes"
    resource.setrlimit(resource.RLIMIT_NPROC, (1, before[1]))
    try:
        child = os.fork()
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, before)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "the kernel does not count this user's processes"


# Calls with arguments that make no sense: whoever is let in is told so, and nothing has happened.
_NOBODY = 0x7FFF_FFFF
_TRACING = (("ptrace", (PTRACE_ATTACH, _NOBODY, 0, 0)), ("process_vm_readv", (_NOBODY, None, 0, None, 0, 0)))
_MOUNTING = (("mount", (b"none", b"/", b"no-such-type", 0, None)), ("umount2", (b"/no-such-mount", 0)))
_NEW_NAMESPACES = (("unshare", (1,)), ("setns", (-1, 0)), ("clone3", (None, 0)))
_ENTRANCES = (
    ("bpf", (0, None, 0)),
    ("perf_event_open", (None, 0, -1, -1, 0)),
    ("userfaultfd", (-1,)),
    ("io_uring_setup", (0, None)),
    ("keyctl", (-1, 0, 0)),
    ("open_by_handle_at", (-1, None, 0)),
    ("kcmp", (0, 0, -1, 0, 0)),
    ("pidfd_getfd", (-1, -1, 0)),
)


def _enter(entrance: Call) -> str:
    name, arguments = entrance
    try:
        system_call(name, *arguments)
    except OSError as error:
        if error.errno in DENYING_ERRORS:
            raise
    return f"the system call {name} is there"


DENIALS = (
    Denial(
        "other processes' environment",
        frozenset({Layer.PID, Layer.OWN_UID, Layer.USER_NAMESPACE, Layer.LANDLOCK}),
        _any_of(lambda prey: prey.pids, _read_environment),
    ),
    Denial(
        "the state folder and other runners' folders",
        frozenset({Layer.MOUNT, Layer.LANDLOCK}),
        _any_of(lambda prey: prey.folders, _read_folder),
    ),
    Denial(
        "writing to the system",
        frozenset({Layer.MOUNT, Layer.LANDLOCK, Layer.OWN_UID}),
        _any_of(lambda _: ("/", "/usr", "/etc", sys.prefix, sys.base_prefix), _write),
    ),
    Denial(
        "signalling other processes",
        frozenset({Layer.PID, Layer.OWN_UID}),
        _any_of(lambda prey: prey.pids, _signal),
    ),
    Denial("network", frozenset({Layer.NETWORK}), _connect),
    Denial("abstract sockets", frozenset({Layer.NETWORK}), _connect_abstract),
    Denial("tracing", frozenset({Layer.SECCOMP}), _any_of(lambda _: _TRACING, _enter)),
    Denial("mounting", frozenset({Layer.SECCOMP}), _any_of(lambda _: _MOUNTING, _enter)),
    Denial("new namespaces", frozenset({Layer.SECCOMP}), _any_of(lambda _: _NEW_NAMESPACES, _enter)),
    Denial("capabilities", frozenset({Layer.CAPABILITIES}), _hold_capabilities),
    Denial("dangerous system calls", frozenset({Layer.SECCOMP}), _any_of(lambda _: _ENTRANCES, _enter)),
    Denial("more processes than allowed", frozenset({Layer.PROCESS_COUNT}), _fork_beyond_limit),
)


def broken_layers(found: dict[str, str], layers: frozenset[Layer]) -> dict[Layer, str]:
    """Layers in force that did not deny what they are there to deny, each with what was possible."""
    broken = {
        layer: found[denial.name]
        for denial in DENIALS
        if denial.name in found
        for layer in denial.by & layers
    }
    if Layer.PID in layers and KILLING_INIT in found:
        broken[Layer.PID] = found[KILLING_INIT]
    return broken
