"""Who the runner is: a uid of its own where root decides, else the daemon's user behind a user namespace."""

from __future__ import annotations

import os
from pathlib import Path

from kbd.daemon.executor.kernel_calls import drop_bounding_set, drop_capabilities, renounce_privileges
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import INNER_UID, Sandbox
from kbd.daemon.executor.sandbox.refusal import needed_for


def map_user(uid: int, gid: int) -> None:
    """In a new user namespace: INNER_UID here is `uid` outside, and there is nobody else. Raises OSError."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INNER_UID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{INNER_UID} {gid} 1")


def become_runner(sandbox: Sandbox) -> None:
    """Take the runner's uid, no groups, no capabilities, and never again more than that."""
    if sandbox.has(Layer.CAPABILITIES):
        drop_bounding_set()
    if sandbox.has(Layer.OWN_UID) and sandbox.uid is not None:
        with needed_for(Layer.OWN_UID):
            os.setgroups([])
            os.setresgid(sandbox.uid, sandbox.uid, sandbox.uid)
            os.setresuid(sandbox.uid, sandbox.uid, sandbox.uid)
    renounce(sandbox)


def renounce(sandbox: Sandbox) -> None:
    """No capability now, and no way to gain one."""
    if sandbox.has(Layer.CAPABILITIES):
        with needed_for(Layer.CAPABILITIES):
            drop_capabilities()
    if sandbox.has(Layer.NO_NEW_PRIVILEGES):
        with needed_for(Layer.NO_NEW_PRIVILEGES):
            renounce_privileges()
