"""The mount layer: a root of the runner's own, in which only what it needs exists, and all of that read-only.

::

    /                tmpfs, read-only     /proc          of its own PID namespace
    /usr, Python, …  the host's           /sys           the host's
    /kernel          its folder           /dev           null zero full random urandom, nvidia*
    /tmp, /dev/shm   its own              /etc           a few files

Built by PID 1 of the namespaces, before any user's code: first a tmpfs becomes the root and the old root lies
in /.host, then what is visible is bound from there, then /.host goes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kbd.daemon.executor.kernel_calls import mount, system_call, unmount
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import FOLDER, SHARED_MEMORY, TEMPORARY, Sandbox
from kbd.daemon.executor.sandbox.refusal import needed_for
from kbd.daemon.executor.sandbox.visible_tree import VisibleTree, is_within

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_RECURSIVE, MOUNT_ATTR_READ_ONLY = 0x8000, MS_RDONLY | MS_NOSUID | MS_NODEV

HOST: Final = "/.host"
ROOT_OPTIONS: Final = "mode=0755,size=1m,nr_inodes=8k"
INODES: Final = "nr_inodes=512k"
DEVICES: Final = ("null", "zero", "full", "random", "urandom")
CUDA_DEVICES: Final = ("nvidia*", "dxg")
DEVICE_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
COVERED: Final = ("/sys/fs/cgroup", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/fs/bpf")


def build_root(sandbox: Sandbox, visible: VisibleTree, base: str) -> None:
    """Make the new root and move into it. `base`: any folder to build it on. Raises OSError.

    Afterwards nothing of the host is reachable by path but what was bound.
    """
    _become_root(base)
    for link in visible.links:
        Path(link.path).symlink_to(link.target)
    _make_own_places(sandbox)
    for shown in visible.shown:
        _show(shown.source, shown.path)
    _show_system_state(sandbox)
    _make_devices(sandbox)
    _write_settings(sandbox)
    for path in sandbox.hidden:
        if visible.shows(path):
            _cover(path)
    unmount(HOST, MNT_DETACH)
    Path(HOST).rmdir()
    _make_read_only("/", recursive=False)


def _become_root(base: str) -> None:
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, ROOT_OPTIONS)
    os.chdir(base)
    Path(HOST.removeprefix("/")).mkdir()
    new, old = b".", HOST.removeprefix("/").encode()
    system_call("pivot_root", new, old)
    os.chdir("/")


def _show(source: str, path: str) -> None:
    """Bind one folder or file of the host, read-only with all that is mounted in it."""
    try:
        _bind(source, path)
    except PermissionError:
        return  # a folder that this user may not enter was of no use to the runner either
    _make_read_only(path)


def _bind(source: str, path: str) -> None:
    _make_target(path, is_folder=stat.S_ISDIR(os.stat(HOST + source).st_mode))
    mount(HOST + source, path, "", MS_BIND | MS_REC)


def _make_target(path: str, *, is_folder: bool) -> None:
    target = Path(path)
    (target if is_folder else target.parent).mkdir(mode=0o755, parents=True, exist_ok=True)
    if not is_folder:
        target.touch()


def _make_read_only(path: str, *, recursive: bool = True) -> None:
    """Nothing in these mounts can be written, gives privileges by being executed, or is a device."""
    attributes = struct.pack("=4Q", MOUNT_ATTR_READ_ONLY, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    try:
        system_call(
            "mount_setattr", -100, os.fsencode(path), flags, attributes, ctypes.c_size_t(len(attributes))
        )
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        for mounted in _mounts_within(path) if recursive else (path,):
            _remount_read_only(mounted)


def _remount_read_only(path: str) -> None:
    """For Linux before 5.12. What is set already has to be repeated, or the kernel refuses."""
    kept = os.statvfs(path).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | _ACCESS_TIME_FLAGS)
    flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept
    # A mount in the mount may lie where this user cannot go; there the runner cannot go either.
    with contextlib.suppress(PermissionError, FileNotFoundError):
        mount("none", path, "", flags)


_ACCESS_TIME_FLAGS: Final = 1024 | 2048 | (1 << 21)  # noatime, nodiratime, relatime


def _mounts_within(path: str) -> Iterator[str]:
    """Mount points at and below a path (proc_pid_mountinfo(5)); the outermost first."""
    table = Path(f"{HOST}/proc/self/mountinfo").read_text().splitlines()
    points = (_unescaped(line.split()[4]) for line in table)
    yield from sorted({point for point in points if is_within(point, path)})


def _unescaped(point: str) -> str:
    """Blank, tab, newline and backslash are octal there. No codec does it: none could be imported here."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(escape, character)
    return point


def _show_system_state(sandbox: Sandbox) -> None:
    """/proc of our own PID namespace, and /sys without what belongs to administrators."""
    if sandbox.has(Layer.PID):
        Path("/proc").mkdir()
        with needed_for(Layer.PID):  # refused where the host hides a part of its own /proc, as containers do
            mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    else:
        _bind("/proc", "/proc")
    for path in _system_wide("/proc"):
        mount(path, path, "", MS_BIND | MS_REC)
        _make_read_only(path)
    _show("/sys", "/sys")
    for path in COVERED:
        if Path(path).is_dir():
            _cover(path)


def _system_wide(proc: str) -> Iterator[str]:
    """What in /proc belongs to no process and could be written by whoever owns it: as root's, the whole host."""
    for entry in sorted(os.scandir(proc), key=lambda entry: entry.name):
        if entry.name.isdecimal() or entry.is_symlink():
            continue
        if entry.is_dir() or entry.stat().st_mode & 0o222:
            yield entry.path


def _cover(path: str) -> None:
    """An empty folder over this one; a file vanishes under /dev/null."""
    if Path(path).is_dir():
        mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=4k")
    elif Path(path).exists():
        mount(f"{HOST}/dev/null", path, "", MS_BIND)


def _make_devices(sandbox: Sandbox) -> None:
    _make_target("/dev", is_folder=True)
    for name in DEVICES:
        _bind(f"/dev/{name}", f"/dev/{name}")
    if sandbox.cuda:
        for pattern in CUDA_DEVICES:
            for path in sorted(Path(f"{HOST}/dev").glob(pattern)):
                device = str(path).removeprefix(HOST)
                _bind(device, device)
    for name, target in DEVICE_LINKS.items():
        Path(f"/dev/{name}").symlink_to(target)


def _make_own_places(sandbox: Sandbox) -> None:
    """The only places that can be written; each of bounded size, and gone with the namespace."""
    bounds = sandbox.bounds
    uid = sandbox.inner_uid
    owner = "" if uid is None else f",uid={uid},gid={uid}"
    for path, size in (
        (FOLDER, bounds.folder_bytes),
        (TEMPORARY, bounds.temporary_bytes),
        (SHARED_MEMORY, bounds.shared_memory_bytes),
    ):
        _make_target(path, is_folder=True)
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=0700,size={size},{INODES}{owner}")


def _write_settings(sandbox: Sandbox) -> None:
    """Names for the uid: several libraries ask for them, and the host's are nobody's business."""
    uid = sandbox.inner_uid or 0
    Path("/etc").mkdir(exist_ok=True)
    Path("/etc/passwd").write_text(f"kernel:x:{uid}:{uid}::{FOLDER}:/bin/sh\n")
    Path("/etc/group").write_text(f"kernel:x:{uid}:\n")
