"""Entering the namespaces, and building the world inside them."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from kbd.daemon.executor.kernel_calls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    unshare,
)
from kbd.daemon.executor.sandbox.identity import map_user
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.mounts import build_root
from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.executor.sandbox.refusal import needed_for
from kbd.daemon.executor.sandbox.visible_tree import VisibleTree

HOST_NAME = "kernel"
_UNSHARED = (
    (Layer.MOUNT, CLONE_NEWNS),
    (Layer.NETWORK, CLONE_NEWNET),
    (Layer.IPC, CLONE_NEWIPC),
    (Layer.UTS, CLONE_NEWUTS),
)


@dataclass(frozen=True)
class Surroundings:
    """What a sandbox is built from: the user outside, what may be seen, a folder to mount upon."""

    uid: int
    gid: int
    visible: VisibleTree
    base: str


def fork_flags(sandbox: Sandbox) -> int:
    """The namespaces that PID 1 must be born into; it enters the others by itself."""
    return CLONE_NEWPID | (CLONE_NEWUSER if sandbox.has(Layer.USER_NAMESPACE) else 0)


def refused_by_fork(sandbox: Sandbox) -> Layer:
    """The layer to blame when that fork is refused."""
    return Layer.USER_NAMESPACE if sandbox.has(Layer.USER_NAMESPACE) else Layer.PID


def enter(sandbox: Sandbox, surroundings: Surroundings) -> None:
    """Enter every namespace but the PID namespace. Raises LayerRefused."""
    os.umask(0o022)
    if sandbox.has(Layer.CGROUP):
        with needed_for(Layer.CGROUP):
            for folder in sandbox.cgroups:
                Path(folder, "cgroup.procs").write_text("0")
    if sandbox.has(Layer.USER_NAMESPACE):
        with needed_for(Layer.USER_NAMESPACE):
            if not sandbox.has(Layer.PID):
                unshare(CLONE_NEWUSER)
            map_user(surroundings.uid, surroundings.gid)
    for layer, flag in _UNSHARED:
        if sandbox.has(layer):
            with needed_for(layer):
                unshare(flag)
    if sandbox.has(Layer.UTS):
        with needed_for(Layer.UTS):
            socket.sethostname(HOST_NAME)
    if sandbox.has(Layer.MOUNT):
        with needed_for(Layer.MOUNT):
            build_root(sandbox, surroundings.visible, surroundings.base)
