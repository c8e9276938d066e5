"""What a process forked by the nursery becomes: alone in its session, with an empty folder and nothing else.

::

    nursery ──fork, fork──► child                      judge; runner where there is no PID namespace
            ──clone───────► init (PID 1) ──fork──► runner

    fd 0  /dev/null      fd 1, 2  the pipe that the daemon drains      fd 3  its channel
    fd 4  the exit report, closed before any user's code runs
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from kbd.daemon.executor.channel import TRUSTED_FRAME_BYTES, Channel
from kbd.daemon.executor.kernel_calls import die_with_parent, renounce_privileges
from kbd.daemon.executor.protocol import DeviceTarget, Fork, FromDaemonToJudge
from kbd.daemon.executor.runner_protocol import FromJudgeToRunner
from kbd.daemon.executor.sandbox.confinement import confine
from kbd.daemon.executor.sandbox.exit_report import report_refusal
from kbd.daemon.executor.sandbox.init import end_with_daemon, supervise
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.namespaces import Surroundings, enter
from kbd.daemon.executor.sandbox.plan import FOLDER, TEMPORARY, Sandbox
from kbd.daemon.executor.sandbox.refusal import LayerRefused
from kbd.daemon.executor.sandbox.visible_tree import VisibleTree

SOCKET_FD = 3
REPORT_FD = 4
ADOPTION_POLL_S = 0.0002
KEPT_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "CXX",
    "CC",
    "CUDA_HOME",
    "CUDA_PATH",
    "TZ",
    "TRITON_INTERPRET",
)


@dataclass(frozen=True)
class Birth:
    """What a child is born with: the request, its descriptors, and what the nursery knows of the host."""

    message: Fork
    descriptors: Sequence[int]
    daemon_pid: int
    uid: int
    gid: int
    visible: VisibleTree

    @property
    def surroundings(self) -> Surroundings:
        """What its sandbox is built from."""
        return Surroundings(self.uid, self.gid, self.visible, self.message.folder)


def live_as_orphan(birth: Birth) -> NoReturn:
    """Be adopted by the daemon and serve. Never returns into the nursery's code."""
    _never_return(birth, lambda: _live_adopted(birth))


def live_as_init(birth: Birth, sandbox: Sandbox) -> NoReturn:
    """Be PID 1 of the runner's namespaces, whose parent is the daemon already."""
    _never_return(birth, lambda: _live_over_runner(birth, sandbox))


def _never_return(birth: Birth, live: Callable[[], None]) -> NoReturn:
    status = 1
    try:
        _take_descriptors(birth.descriptors)
        live()
        status = 0
    except LayerRefused as refused:
        report_refusal(REPORT_FD, refused)
    except BaseException:  # noqa: BLE001 - nothing may unwind into the nursery; the daemon reads the traceback
        traceback.print_exc()
    finally:
        os._exit(status)


def _take_descriptors(descriptors: Sequence[int]) -> None:
    # Copies above the range that is about to be overwritten.
    channel, output, report = (os.dup2(held, 100 + place) for place, held in enumerate(descriptors))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(channel, SOCKET_FD, inheritable=False)
    os.dup2(report, REPORT_FD, inheritable=False)
    os.closerange(REPORT_FD + 1, 1 << 16)


def _live_adopted(birth: Birth) -> None:
    _wait_for_adoption(birth.daemon_pid)
    os.setsid()
    sandbox = birth.message.sandbox
    if sandbox is None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        renounce_privileges()
        os.close(REPORT_FD)
        _serve(birth.message, Path(birth.message.folder))
        return
    enter(sandbox, birth.surroundings)
    _live_confined(birth, sandbox)


def _live_over_runner(birth: Birth, sandbox: Sandbox) -> None:
    end_with_daemon(REPORT_FD)
    os.setsid()
    enter(sandbox, birth.surroundings)
    supervise(sandbox, REPORT_FD, lambda: _live_as_runner(birth, sandbox))


def _live_as_runner(birth: Birth, sandbox: Sandbox) -> NoReturn:
    status = 1
    try:
        os.setsid()
        _live_confined(birth, sandbox)
        status = 0
    except LayerRefused as refused:
        report_refusal(REPORT_FD, refused)
    except BaseException:  # noqa: BLE001 - nothing may unwind into PID 1; the daemon reads the traceback
        traceback.print_exc()
    finally:
        os._exit(status)


def _live_confined(birth: Birth, sandbox: Sandbox) -> None:
    folder = Path(FOLDER if sandbox.has(Layer.MOUNT) else birth.message.folder)
    confine(sandbox, birth.visible, folder)
    if not sandbox.has(Layer.PID):
        end_with_daemon(REPORT_FD)  # again: the change of credentials has undone it
    os.close(REPORT_FD)
    _serve(birth.message, folder, Path(TEMPORARY) if sandbox.has(Layer.MOUNT) else None)


def _wait_for_adoption(daemon_pid: int) -> None:
    """Death of the parent must kill us, but the first parent is meant to die: wait until it has."""
    middle = os.getppid()
    while os.getppid() == middle and middle != daemon_pid:
        time.sleep(ADOPTION_POLL_S)
    die_with_parent()
    if os.getppid() != daemon_pid:
        os._exit(1)


def _serve(message: Fork, folder: Path, temporary: Path | None = None) -> None:
    _settle(message, folder, temporary or folder / "tmp")
    from kbd.daemon.compiler.main import serve as serve_compiler
    from kbd.daemon.executor.compiler_protocol import FromDaemonToCompiler
    from kbd.daemon.executor.sandbox.examination import FromExaminer
    from kbd.daemon.executor.sandbox.examination import serve as serve_examination
    from kbd.daemon.judge.main import serve as serve_judge
    from kbd.daemon.runner.main import serve as serve_runner

    sock = socket.socket(fileno=SOCKET_FD)
    bound = message.sandbox.bounds.device_memory_bytes if message.sandbox is not None else None
    match message.child:
        case "judge":
            serve_judge(Channel(sock, FromDaemonToJudge, TRUSTED_FRAME_BYTES), message.device)
        case "runner":
            serve_runner(Channel(sock, FromJudgeToRunner, TRUSTED_FRAME_BYTES), message.device, folder, bound)
        case "compiler":
            serve_compiler(Channel(sock, FromDaemonToCompiler, TRUSTED_FRAME_BYTES), folder)
        case "examinee":
            serve_examination(Channel(sock, FromExaminer, TRUSTED_FRAME_BYTES))


def _settle(message: Fork, folder: Path, temporary: Path) -> None:
    import numpy as np
    import torch

    os.chdir(folder)
    temporary.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    os.environ.clear()
    os.environ.update(kept | _private_variables(folder, temporary) | _device_variables(message.device))
    tempfile.tempdir = None
    random.seed()
    np.random.seed()
    torch.seed()
    torch.set_num_threads(message.device.threads)
    if message.device.cores:
        with contextlib.suppress(OSError):  # they may have been taken from the daemon since
            os.sched_setaffinity(0, message.device.cores)


def _device_variables(device: DeviceTarget) -> dict[str, str]:
    found = {"CUDA_VISIBLE_DEVICES": device.visible}
    if device.connections is not None:
        found["CUDA_DEVICE_MAX_CONNECTIONS"] = str(device.connections)
    return found


def _private_variables(folder: Path, temporary: Path) -> dict[str, str]:
    """Every cache and scratch place that a kernel may write lies in its own folder."""
    return {
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "TRITON_CACHE_DIR": str(folder / "triton"),
        "TORCH_EXTENSIONS_DIR": str(folder / "torch_extensions"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "CUDA_CACHE_PATH": str(folder / "nv"),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }
