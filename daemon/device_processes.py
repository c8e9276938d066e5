"""Who computes on a device: processes of kbd, and others, whose work would disturb a timing.

NVML names processes by their ids. Where those are not the ids of this PID namespace (in most containers), nobody
here can tell whose they are. The test is a process of our own that is known to be on the device: unless NVML names
it by the id that it has here, the answer is None, and never a guess.
"""

from __future__ import annotations

from typing import Any

import pynvml


def other_processes(handle: Any, *, witness: int, family: int) -> int | None:
    """How many processes compute on the device that `family` has not brought forth.

    Graphics is left out: a desktop holds a context all day. Takes some 0.1 ms for ten processes.

    Args:
        handle: of a GPU or a MIG instance.
        witness: a process of ours with a context on the device.
        family: the process from which all of ours descend: the daemon.

    Returns:
        None where it cannot be known: the driver does not tell, or not in this PID namespace.
    """
    try:
        pids = {process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    except pynvml.NVMLError:
        return None
    if witness not in pids:
        return None
    kinships = [descends(pid, family) for pid in pids]
    if None in kinships:
        return None
    return kinships.count(False)


def descends(pid: int, ancestor: int) -> bool | None:
    """Whether a process comes from another one. None: it is not in this PID namespace, or has just ended."""
    while pid != ancestor:
        if pid <= 1:
            return False
        parent = _parent_of(pid)
        if parent is None:
            return None
        pid = parent
    return True


def _parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    # The name before it is in parentheses and may itself hold some.
    return int(stat.rpartition(b")")[2].split()[1])
