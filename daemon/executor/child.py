"""What a process forked by the nursery becomes: alone in its session, with an empty folder and nothing else.

fd 0  /dev/null        fd 1, 2  the pipe that the daemon drains        fd 3  its channel
"""

from __future__ import annotations

import os
import random
import resource
import socket
import tempfile
import time
import traceback
from pathlib import Path
from typing import NoReturn

from kbd.daemon.executor.channel import TRUSTED_FRAME_BYTES, Channel
from kbd.daemon.executor.kernel_calls import die_with_parent, renounce_privileges
from kbd.daemon.executor.protocol import Fork, FromDaemonToJudge, FromJudgeToRunner

SOCKET_FD = 3
ADOPTION_POLL_S = 0.0002
KEPT_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_PATH",
    "TZ",
    "TRITON_INTERPRET",
)


def live(message: Fork, descriptors: list[int], daemon_pid: int) -> NoReturn:
    """Become the child that the daemon asked for, serve, exit. Never returns into the nursery's code."""
    status = 1
    try:
        _wait_for_adoption(daemon_pid)
        _take_descriptors(*descriptors)
        _settle(message)
        _serve(message)
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may unwind into the nursery; the daemon reads the traceback
        traceback.print_exc()
    finally:
        os._exit(status)


def _wait_for_adoption(daemon_pid: int) -> None:
    """Death of the parent must kill us, but the first parent is meant to die: wait until it has."""
    middle = os.getppid()
    while os.getppid() == middle and middle != daemon_pid:
        time.sleep(ADOPTION_POLL_S)
    die_with_parent()
    if os.getppid() != daemon_pid:
        os._exit(1)


def _take_descriptors(channel: int, output: int) -> None:
    # Copies above the range that is about to be overwritten.
    high = [os.dup2(descriptor, 100 + place) for place, descriptor in enumerate((channel, output))]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(high[1], 1)
    os.dup2(high[1], 2)
    os.dup2(high[0], SOCKET_FD, inheritable=False)
    os.closerange(SOCKET_FD + 1, 1 << 16)


def _settle(message: Fork) -> None:
    import numpy as np
    import torch

    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    renounce_privileges()
    folder = Path(message.folder)
    os.chdir(folder)
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    os.environ.clear()
    os.environ.update(kept | _private_variables(folder) | {"CUDA_VISIBLE_DEVICES": message.device.visible})
    tempfile.tempdir = None
    random.seed()
    np.random.seed()
    torch.seed()
    torch.set_num_threads(message.device.threads)


def _private_variables(folder: Path) -> dict[str, str]:
    """Every cache and scratch place that a kernel may write lies in its own folder."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
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


def _serve(message: Fork) -> None:
    from kbd.daemon.judge.main import serve as serve_judge
    from kbd.daemon.runner.main import serve as serve_runner

    sock = socket.socket(fileno=SOCKET_FD)
    if message.child == "judge":
        serve_judge(Channel(sock, FromDaemonToJudge, TRUSTED_FRAME_BYTES), message.device)
    else:
        serve_runner(
            Channel(sock, FromJudgeToRunner, TRUSTED_FRAME_BYTES), message.device, Path(message.folder)
        )
