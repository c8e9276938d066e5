"""A daemon as a would-be owner of a spool, and what it can know about the present owner without waiting."""

from __future__ import annotations

import os
import platform
import secrets
from pathlib import Path
from typing import Final

from kbd.inbox.lease import LeaseRecord

_IDENTITY: Final = "identity"


def claimant(state: Path, lease_s: float) -> LeaseRecord:
    """What the lease will say of this process, should it get it. To be called by the holder of the state's lock."""
    return LeaseRecord(
        token=secrets.token_hex(8),
        state=_identity(state),
        host=platform.node(),
        pid=os.getpid(),
        place=_place(),
        born=_born(os.getpid()),
        lease_s=lease_s,
    )


def is_gone(record: LeaseRecord, ours: LeaseRecord) -> bool:
    """Whether the daemon of a lease is dead for certain, so that nobody need wait until its lease runs out.

    It is when it had our state folder, whose lock we hold now, or when it was a process of this very host and
    there is none of its number and age.
    """
    if record.state == ours.state and record.host == ours.host:
        return record.token != ours.token
    return record.place == ours.place and record.born is not None and _born(record.pid) != record.born


def _identity(state: Path) -> str:
    """A random word that only this state folder has."""
    path = state / _IDENTITY
    word = path.read_text().strip() if path.exists() else ""
    if not word:
        word = secrets.token_hex(16)
        path.write_text(f"{word}\n")
    return word


def _place() -> str:
    """Which boot of which kernel, and which pid namespace: where process ids mean the same."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def _born(pid: int) -> int | None:
    """When a living process was started, in ticks since boot (proc_pid_stat(5), field 22); None: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
