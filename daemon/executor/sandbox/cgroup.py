"""The cgroup layer: bounds on a whole runner with all that it starts, where this host lets us make groups.

Version 2 (`memory.max`, `pids.max`, `cgroup.kill`) or version 1 (`memory.limit_in_bytes`, `pids.max`). Groups are
made beneath the daemon's own, one per runner, named after the daemon's pid so that a later daemon finds what a
dead one left. With version 2 a group that bounds others holds no process itself, so the daemon steps aside::

    kbd.service/             handed to us by systemd (Delegate=yes)
    ├── daemon/              the daemon and its nursery
    └── kbd-PID-NUMBER/      one runner with all that it starts
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import structlog

from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import Bounds, Sandbox
from kbd.daemon.executor.sandbox.refusal import LayerRefused, needed_for

log = structlog.get_logger(__name__)

PREFIX: Final = "kbd-"
ASIDE: Final = "daemon"
WANTED: Final = ("memory", "pids")


@dataclass(frozen=True)
class Cgroup:
    """One runner's group: a folder in each hierarchy; none where the sandbox has no such layer."""

    folders: tuple[Path, ...]

    @classmethod
    def make(cls, sandbox: Sandbox | None) -> Cgroup:
        """The group that this sandbox names, with its bounds set. Raises LayerRefused."""
        if sandbox is None or not sandbox.has(Layer.CGROUP):
            return NO_CGROUP
        group = cls(tuple(map(Path, sandbox.cgroups)))
        try:
            with needed_for(Layer.CGROUP):
                group._make(sandbox.bounds)
        except LayerRefused:
            group.remove()
            raise
        return group

    def _make(self, bounds: Bounds) -> None:
        for folder in self.folders:
            folder.mkdir()
            _set(folder / "pids.max", bounds.processes)
            if bounds.memory_bytes is not None:
                _set(folder / "memory.max", bounds.memory_bytes)
                _set(folder / "memory.swap.max", 0)
                _set(folder / "memory.oom.group", 1)  # half a runner is of no use to anybody
                _set(folder / "memory.limit_in_bytes", bounds.memory_bytes)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for using more memory than it may."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):  # one of the two is not there
                    counts = dict(line.split() for line in (folder / name).read_text().splitlines())
                    if int(counts.get("oom_kill", 0)):
                        return True
        return False

    def kill(self) -> None:
        """Kill whatever is in it."""
        for folder in self.folders:
            with contextlib.suppress(FileNotFoundError):
                if (folder / "cgroup.kill").exists():
                    (folder / "cgroup.kill").write_text("1")
                    continue
                for pid in map(int, (folder / "cgroup.procs").read_text().split()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Make it go. What cannot go yet, because something in it is still dying, the next daemon removes."""
        for folder in self.folders:
            try:
                self.kill()
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("a cgroup stays", action="cgroup_left", folder=str(folder), reason=str(error))


NO_CGROUP: Final = Cgroup(())


def _set(path: Path, value: int) -> None:
    if path.exists():
        path.write_text(str(value))


@dataclass(frozen=True)
class CgroupHome:
    """The folders, one per hierarchy, beneath which a daemon may make groups; and what those can bound."""

    folders: tuple[Path, ...]
    controllers: frozenset[str] = frozenset()

    @classmethod
    def find(cls) -> CgroupHome:
        """Where this process may make groups with bounds. Raises LayerRefused."""
        with needed_for(Layer.CGROUP):
            homes = own_groups()
        folders = tuple(dict.fromkeys(folder for folder, _ in homes))
        if not folders:
            raise LayerRefused(Layer.CGROUP, "no cgroup file system with memory or pids is mounted")
        for folder in folders:
            if not os.access(folder, os.W_OK):
                raise LayerRefused(Layer.CGROUP, f"{folder} is not writable{_advice(folder)}")
            _delegate(folder)
        home = cls(folders, frozenset(controller for _, controller in homes))
        home.tidy()
        return home

    def group(self, number: int) -> tuple[str, ...]:
        """The folders of this process's group with this number."""
        return tuple(str(folder / f"{PREFIX}{os.getpid()}-{number}") for folder in self.folders)

    def tidy(self) -> None:
        """Remove the groups of daemons that are gone."""
        for folder in self.folders:
            for left in folder.glob(f"{PREFIX}*-*"):
                pid = left.name.removeprefix(PREFIX).partition("-")[0]
                if not Path("/proc", pid).exists():
                    Cgroup((left,)).remove()


def own_groups() -> list[tuple[Path, str]]:
    """The groups of this process that can bound something, with what each can bound. Raises OSError."""
    own = dict(_own_groups(Path("/proc/self/cgroup").read_text()))
    return list(_homes(own, list(_mounts(Path("/proc/self/mountinfo").read_text()))))


def _own_groups(table: str) -> Iterator[tuple[str, str]]:
    """(controller, path) of this process (cgroups(7)); the controller of version 2 is the empty string."""
    for line in table.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


@dataclass(frozen=True)
class _Mount:
    root: str
    point: str
    kind: str
    options: tuple[str, ...]


def _mounts(table: str) -> Iterator[_Mount]:
    """The cgroup mounts of proc_pid_mountinfo(5)."""
    for line in table.splitlines():
        here, _, there = line.partition(" - ")
        kind, _, options = there.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, point = here.split()[3:5]
            yield _Mount(root, point, kind, tuple(options.split(",")))


def _homes(own: dict[str, str], mounts: list[_Mount]) -> Iterator[tuple[Path, str]]:
    """Each folder that can bound something, with what it can bound."""
    for mount in mounts:
        if mount.kind == "cgroup2":
            folder = _beneath(mount, own.get("", "/"))
            if folder.name == ASIDE and (folder.parent / "cgroup.subtree_control").exists():
                folder = folder.parent
            controllers = (folder / "cgroup.controllers").read_text().split()
            yield from ((folder, wanted) for wanted in WANTED if wanted in controllers)
        else:
            yield from (
                (_beneath(mount, own[wanted]), wanted)
                for wanted in WANTED
                if wanted in mount.options and wanted in own
            )


def _beneath(mount: _Mount, path: str) -> Path:
    """The folder of a group in this mount, which may show only a part of the hierarchy."""
    inside = path.removeprefix(mount.root.rstrip("/")) if path.startswith(mount.root) else ""
    return Path(mount.point + inside)


def _advice(folder: Path) -> str:
    if (folder / "cgroup.controllers").exists():
        return "; under systemd: Delegate=yes"
    return ": of version 1; systemd hands over groups of version 2 alone (systemd.unified_cgroup_hierarchy=1)"


def _delegate(folder: Path) -> None:
    """Let the groups beneath have bounds (version 2 only). Raises LayerRefused."""
    control = folder / "cgroup.subtree_control"
    if not control.exists():
        return
    offered = (folder / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in WANTED if name in offered)
    try:
        _step_aside(folder)
        control.write_text(wanted)
    except OSError as error:
        raise LayerRefused(
            Layer.CGROUP,
            f"{control}: {error.strerror}; it holds processes that are not the daemon's: "
            "under systemd set Delegate=yes",
        ) from None


def _step_aside(folder: Path) -> None:
    """Move what a group holds to one beneath it, if all of that is this daemon's. Raises OSError."""
    held = {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
    if not held or not held <= _own_processes():
        return
    aside = folder / ASIDE
    aside.mkdir(exist_ok=True)
    for pid in held:
        with contextlib.suppress(ProcessLookupError):
            (aside / "cgroup.procs").write_text(str(pid))


def _own_processes() -> set[int]:
    own = psutil.Process()
    return {own.pid, *(child.pid for child in own.children(recursive=True))}
