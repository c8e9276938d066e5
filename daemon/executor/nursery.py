"""The nursery: a process with torch imported and CUDA untouched, which only forks.

::

    DAEMON (sub-reaper)
      │ Fork + socket + output pipe
      ▼
    NURSERY ──clone, as a sibling──► init ──fork──► runner     in namespaces of its own (see sandbox.init)
            ──fork──► middle ──fork──► child        a judge, or a runner where there is no PID namespace
                        └─exits at once: the child becomes the daemon's, which alone reaps and kills it

A fork costs milliseconds where a new interpreter with torch costs seconds. That is only sound while the nursery
stays single-threaded, does no tensor work (a started thread pool is lost in the child, whose first parallel
operation then hangs) and never asks CUDA anything. A nursery that dies takes no child with it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import socket
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.child import Birth, live_as_init, live_as_orphan
from kbd.daemon.executor.kernel_calls import die_with_parent, fork_sibling
from kbd.daemon.executor.protocol import Forked, ForkFailed, FromDaemonToNursery, Ready
from kbd.daemon.executor.sandbox.exit_report import report_refusal
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.namespaces import fork_flags, refused_by_fork
from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.executor.sandbox.refusal import refusal
from kbd.daemon.executor.sandbox.visible_tree import VisibleTree

REPORT = 2  # its place among the descriptors of a request


def main() -> None:
    """Import everything that children need, then fork on request until the daemon is gone."""
    daemon_pid = int(sys.argv[2])  # in a container it may be 1
    die_with_parent()
    if os.getppid() != daemon_pid:
        return
    gc.disable()  # a fifth of the time of these imports is spent looking for garbage, and there is hardly any
    environment = _import_everything()
    gc.collect()
    gc.freeze()
    gc.enable()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])), FromDaemonToNursery)
    channel.send(Ready(environment=environment))
    visible = VisibleTree.of_this_interpreter()
    while True:
        try:
            message, descriptors = channel.receive_with_descriptors()
        except PeerGone:
            return
        birth = Birth(message, descriptors, daemon_pid, os.getuid(), os.getgid(), visible)
        try:
            channel.send(_fork(birth))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _import_everything() -> dict[str, str | None]:
    from kbd.backends.triton_seed import Sowing

    sowing = Sowing()
    sowing.begin()
    import numpy.ma
    import numpy.random  # noqa: F401 - numpy imports these two only when they are first used
    import torch

    import kbd.backends.torch_module
    import kbd.daemon.compiler.main
    import kbd.daemon.executor.sandbox.examination
    import kbd.daemon.judge.main
    import kbd.daemon.runner.main  # noqa: F401
    from kbd.backends.registry import import_built_in

    import_built_in()
    torch.set_num_threads(1)
    # Importing the bindings asks CUDA nothing; a runner would spend a tenth of a second on it.
    for optional in ("triton", "cuda.bindings.driver", "cuda.bindings.runtime"):
        with contextlib.suppress(ImportError):
            importlib.import_module(optional)
    sowing.finish()
    return {name: _version(name) for name in ("torch", "triton", "numpy")} | {
        "python": sys.version.split()[0],
        "cuda": torch.version.cuda,
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _fork(birth: Birth) -> Forked | ForkFailed:
    token, sandbox = birth.message.token, birth.message.sandbox
    try:
        if sandbox is None or not sandbox.has(Layer.PID):
            return Forked(token=token, pid=_fork_orphan(birth))
        return Forked(token=token, pid=_fork_init(birth, sandbox))
    except OSError as error:
        return ForkFailed(token=token, message=str(error))


def _fork_init(birth: Birth, sandbox: Sandbox) -> int:
    """PID 1 of new namespaces, born as a child of the daemon; it forks the runner."""
    try:
        pid = fork_sibling(fork_flags(sandbox))
    except OSError as error:
        refused = refusal(refused_by_fork(sandbox), error)
        report_refusal(birth.descriptors[REPORT], refused)
        raise
    if pid == 0:
        live_as_init(birth, sandbox)
    return pid


def _fork_orphan(birth: Birth) -> int:
    """Fork twice, so that the child is orphaned at once and adopted by the daemon."""
    reading, writing = os.pipe()
    try:
        middle = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if middle == 0:
        _fork_again(birth, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        pid = answer.read()
    os.waitpid(middle, 0)
    if not pid:
        raise OSError(errno.EAGAIN, "the second fork failed")
    return int(pid)


def _fork_again(birth: Birth, writing: int) -> NoReturn:
    """In the middle process: fork the child, tell its pid, be gone."""
    try:
        child = os.fork()
        if child == 0:
            os.close(writing)
            live_as_orphan(birth)
        os.write(writing, str(child).encode())
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
