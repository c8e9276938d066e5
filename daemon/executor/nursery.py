"""The nursery: a process with torch imported and CUDA untouched, which only forks.

::

    DAEMON (sub-reaper)
      │ Fork + socket + output pipe
      ▼
    NURSERY ──fork──► middle ──fork──► child        runner or judge; serves its own socket
                        └─exits at once: the child becomes the daemon's, which alone reaps and kills it

A fork costs milliseconds where a new interpreter with torch costs seconds. That is only sound while the nursery
stays single-threaded, does no tensor work (a started thread pool is lost in the child, whose first parallel
operation then hangs) and never asks CUDA anything. A nursery that dies takes no child with it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.child import live
from kbd.daemon.executor.kernel_calls import die_with_parent
from kbd.daemon.executor.protocol import Fork, Forked, ForkFailed, FromDaemonToNursery, Ready


def main() -> None:
    """Import everything that children need, then fork on request until the daemon is gone."""
    daemon_pid = os.getppid()
    die_with_parent()
    if os.getppid() != daemon_pid or daemon_pid == 1:
        return
    environment = _import_everything()
    gc.collect()
    gc.freeze()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])), FromDaemonToNursery)
    channel.send(Ready(environment=environment))
    while True:
        try:
            message, descriptors = channel.receive_with_descriptors()
        except PeerGone:
            return
        channel.send(_fork(message, descriptors, daemon_pid))


def _import_everything() -> dict[str, str | None]:
    import numpy.ma
    import numpy.random  # noqa: F401 - numpy imports these two only when they are first used
    import torch

    import kbd.backends.torch_backend
    import kbd.daemon.judge.main
    import kbd.daemon.runner.main  # noqa: F401

    torch.set_num_threads(1)
    with contextlib.suppress(ImportError):
        import triton  # noqa: F401
    return {name: _version(name) for name in ("torch", "triton", "numpy")} | {
        "python": sys.version.split()[0],
        "cuda": torch.version.cuda,
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _fork(message: Fork, descriptors: list[int], daemon_pid: int) -> Forked | ForkFailed:
    """Fork twice, so that the child is orphaned at once and adopted by the daemon."""
    reading, writing = os.pipe()
    try:
        middle = os.fork()
    except OSError as error:
        for descriptor in (reading, writing, *descriptors):
            os.close(descriptor)
        return ForkFailed(token=message.token, message=str(error))
    if middle == 0:
        _fork_again(message, descriptors, daemon_pid, writing)
    for descriptor in (writing, *descriptors):
        os.close(descriptor)
    with os.fdopen(reading, "rb") as answer:
        pid = answer.read()
    os.waitpid(middle, 0)
    if not pid:
        return ForkFailed(token=message.token, message="the second fork failed")
    return Forked(token=message.token, pid=int(pid))


def _fork_again(message: Fork, descriptors: list[int], daemon_pid: int, writing: int) -> NoReturn:
    """In the middle process: fork the child, tell its pid, be gone."""
    try:
        child = os.fork()
        if child == 0:
            os.close(writing)
            live(message, descriptors, daemon_pid)
        os.write(writing, str(child).encode())
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
