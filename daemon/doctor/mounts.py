"""The file systems of spool and database, and how they are mounted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from kbd.daemon.doctor.check import Check, Patient, fail, ok, warn
from kbd.inbox.mounts import MOUNTINFO, Mount, filesystem_of

SPOOL: Final = "spool mount"
DATABASE: Final = "database mount"
LATE_S: Final = 5
"""kbd looks at a network spool every 2 s; a cache that is older than this delays jobs by more than it."""
_NFS_ACDIRMAX_S: Final = 60
_LOCAL_LOCKS: Final = ("nolock", "local_lock=all", "local_lock=flock", "local_lock=posix")


def spool_mount(patient: Patient, mountinfo: Path = MOUNTINFO) -> Iterator[Check]:
    """Options of NFS and SMB that lose or delay jobs."""
    mount = filesystem_of(_existing(patient.settings.spool), mountinfo)
    found = list(_of_options(mount)) if mount.is_network else []
    if "ro" in mount.options:
        yield fail(
            SPOOL, f"{mount.mount_point} is mounted read-only", f"mount -o remount,rw {mount.mount_point}"
        )
    yield from found
    if not found and "ro" not in mount.options:
        kind = "a network file system, looked at regularly" if mount.is_network else "a local file system"
        yield ok(SPOOL, f"{mount.fs_type} on {mount.mount_point}, {kind}")


def database_mount(patient: Patient, mountinfo: Path = MOUNTINFO) -> Iterator[Check]:
    """SQLite's locks and shared memory do not work between hosts."""
    mount = filesystem_of(_existing(patient.settings.state), mountinfo)
    if mount.is_network and not mount.is_seen_by_others:
        yield warn(
            DATABASE,
            f"{patient.settings.state} lies on {mount.fs_type}; if other hosts share it, SQLite loses data",
            "if it is the disk of this container alone, all is well; else name a local folder with --state",
        )
    elif mount.is_network:
        yield fail(
            DATABASE,
            f"{patient.settings.state} lies on {mount.fs_type} ({mount.source}), where SQLite loses data",
            "stop the daemon and move the folder to a local disk; name it with --state, KBD_STATE or "
            "`state` in the file of settings",
        )
    else:
        yield ok(DATABASE, f"{mount.fs_type} on {mount.mount_point}")


def _of_options(mount: Mount) -> Iterator[Check]:
    if mount.fs_type in ("nfs", "nfs4"):
        yield from _nfs(mount)
    elif mount.fs_type in ("cifs", "smb3") and "cache=loose" in mount.options:
        yield warn(
            SPOOL,
            f"{mount.mount_point} is mounted with cache=loose: files of other hosts may be seen half",
            "mount it with cache=strict",
        )


def _nfs(mount: Mount) -> Iterator[Check]:
    options, values = set(mount.options), _values(mount)
    if "hard" not in options:
        how = next((name for name in ("softerr", "soft") if name in options), "not hard")
        yield fail(
            SPOOL,
            f"{mount.mount_point} is mounted {how}: when the server is slow, writes fail and results are lost",
            _remount(mount, "hard"),
        )
    local = [option for option in _LOCAL_LOCKS if option in options]
    if local:
        yield warn(
            SPOOL,
            f"{mount.mount_point} is mounted with {local[0]}: locks are not seen by other hosts",
            _remount(mount, "lock,local_lock=none"),
        )
    if "noac" in options:
        return
    acdirmax_s = values.get("acdirmax", _NFS_ACDIRMAX_S)
    if acdirmax_s > LATE_S:
        yield warn(
            SPOOL,
            f"{mount.mount_point} caches folders for up to {acdirmax_s} s (acdirmax): jobs are seen so late",
            _remount(mount, "acdirmin=1,acdirmax=3"),
        )
    if not options & {"lookupcache=none", "lookupcache=pos", "lookupcache=positive"}:
        yield warn(
            SPOOL,
            f"{mount.mount_point} remembers that files are not there (lookupcache=all): results are seen late",
            _remount(mount, "lookupcache=positive"),
        )


def _remount(mount: Mount, options: str) -> str:
    return f"add {options} to the options of {mount.mount_point} in /etc/fstab, unmount it and mount it again"


def _values(mount: Mount) -> Mapping[str, int]:
    pairs = (option.partition("=") for option in mount.options)
    return {name: int(value) for name, _, value in pairs if value.isascii() and value.isdecimal()}


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), path)
