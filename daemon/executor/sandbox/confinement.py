"""The runner's last steps before it serves: from here on it has nothing but what the sandbox leaves it.

The order matters. Limits that need rights come first, then the rights go, then Landlock and seccomp, which
would forbid some of what came before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kbd.daemon.executor.kernel_calls import set_dumpable
from kbd.daemon.executor.sandbox import landlock, seccomp
from kbd.daemon.executor.sandbox.identity import become_runner
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import FOLDER, SHARED_MEMORY, TEMPORARY, Sandbox
from kbd.daemon.executor.sandbox.refusal import needed_for
from kbd.daemon.executor.sandbox.resource_limits import (
    limit_private_memory,
    limit_processes,
    limit_resources,
    offer_to_be_killed_first,
)
from kbd.daemon.executor.sandbox.visible_tree import VisibleTree


def confine(sandbox: Sandbox, visible: VisibleTree, folder: Path) -> None:
    """Put this process under every layer that a process can put itself under. Raises LayerRefused."""
    if sandbox.has(Layer.OWN_UID) and not sandbox.has(Layer.MOUNT) and sandbox.uid is not None:
        with needed_for(Layer.OWN_UID):
            os.chown(folder, sandbox.uid, sandbox.uid)
    set_dumpable(True)  # PID 1 is not, and what it is not cannot write to its own /proc entries
    for layer, take_effect in _before_rights_go(sandbox):
        if sandbox.has(layer):
            with needed_for(layer):
                take_effect()
    become_runner(sandbox)
    # Where no other process of this user can see it, it may look at itself, as the CUDA driver does.
    set_dumpable(sandbox.has(Layer.PID) or sandbox.has(Layer.OWN_UID))
    if sandbox.has(Layer.LANDLOCK):
        with needed_for(Layer.LANDLOCK):
            landlock.restrict(rules_for(sandbox, visible, folder))
    if sandbox.has(Layer.SECCOMP):
        with needed_for(Layer.SECCOMP):
            seccomp.install(netlink=sandbox.cuda)


def _before_rights_go(sandbox: Sandbox) -> tuple[tuple[Layer, Callable[[], None]], ...]:
    bounds = sandbox.bounds
    return (
        (Layer.OOM_FIRST, offer_to_be_killed_first),
        (Layer.RESOURCE_LIMITS, lambda: limit_resources(bounds)),
        (Layer.PRIVATE_MEMORY, lambda: limit_private_memory(bounds.memory_bytes)),
        (Layer.PROCESS_COUNT, lambda: limit_processes(bounds.processes)),
    )


def rules_for(sandbox: Sandbox, visible: VisibleTree, folder: Path) -> tuple[landlock.Rule, ...]:
    """What Landlock leaves within reach: in a root of its own all that is there, else only what is needed."""
    if sandbox.has(Layer.MOUNT):
        # The CUDA driver names its threads by way of /proc, and gives up (error 304) where it may not. In a /proc
        # of its own the runner finds nothing to write to but itself.
        itself = sandbox.cuda and sandbox.has(Layer.PID)
        return (
            landlock.Rule("/", landlock.READING),
            landlock.Rule("/proc", landlock.OWN_PROCESSES if itself else landlock.READING),
            landlock.Rule("/dev", landlock.DEVICES),
            *(landlock.Rule(path, landlock.OWN) for path in (FOLDER, TEMPORARY, SHARED_MEMORY)),
        )
    return (
        *(landlock.Rule(shown.source, landlock.READING) for shown in visible.shown),
        *(landlock.Rule(link.path, landlock.READING) for link in visible.links),
        *(landlock.Rule(path, landlock.READING) for path in ("/proc", "/sys")),
        landlock.Rule("/dev", landlock.DEVICES),
        landlock.Rule(SHARED_MEMORY, landlock.OWN),
        landlock.Rule(str(folder), landlock.OWN),
    )
