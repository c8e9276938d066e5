"""A compiler's life: build one kernel, hand the archive over, die.

::

    DAEMON ──Compile──► serve ──► backend.compile ──► FOLDER/artifact ──► archive ──► DAEMON

Users' code runs here (a module that builds extensions is executed to see which), so nothing that comes from here
is believed: an archive is only ever given to a kernel of the same source.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import Any

from kbd.backends.artifact_archive import ARTIFACT_FOLDER, ArtifactTooLarge, pack
from kbd.backends.base import CompileFailed, CompileRequest, Target
from kbd.backends.registry import backend_for
from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.compiler_protocol import Compile, Compiled
from kbd.daemon.executor.runner_protocol import Answer
from kbd.daemon.runner.main import describe, sendable

NICENESS = 10


def serve(channel: Channel[Any], folder: Path) -> None:
    """Answer the one question there is."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a killed compiler flushes nothing
    with contextlib.suppress(PeerGone, OSError):  # a daemon that is gone wants no answer
        request, descriptors = channel.receive_with_descriptors()
        (archive,) = descriptors
        channel.send(sendable(answer(request, archive, folder)))


def answer(request: Compile, archive: int, folder: Path) -> Answer:
    """What became of the kernel."""
    try:
        _settle(request)
        return _compiled(request, archive, folder)
    except BaseException as error:  # noqa: BLE001 - SystemExit and the user's own kinds are answers too
        return describe(error)


def _settle(request: Compile) -> None:
    """Kernels that are being judged come first; nobody's build takes all the memory."""
    os.nice(NICENESS)
    os.environ["MAX_JOBS"] = str(request.jobs)
    if request.memory_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = request.memory_bytes if hard == resource.RLIM_INFINITY else min(request.memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _compiled(request: Compile, archive: int, folder: Path) -> Compiled:
    target = folder / ARTIFACT_FOLDER
    target.mkdir(mode=0o700)
    asked = CompileRequest(request.kernel, Target(request.target, request.arch), request.contracts)
    artifact = backend_for(request.kernel.kernel_type).compile(asked, target)
    artifact.write()
    try:
        nbytes = pack(target, archive, request.archive_bytes)
    except ArtifactTooLarge as error:
        raise CompileFailed(str(error), hint="build less, or without debugging information") from None
    unfinished = artifact.properties.get("unfinished")
    return Compiled(nbytes=nbytes, unfinished=str(unfinished)[:4096] if unfinished else None)
