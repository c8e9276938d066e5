"""inotify: whether one more watch is to be had. Without it jobs are found by regular scans, later."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kbd.daemon.doctor.check import Check, Patient, ok, warn
from kbd.inbox.mounts import filesystem_of

NAME: Final = "inotify"
_LIMITS: Final = Path("/proc/sys/fs/inotify")
_IN_CREATE: Final = 0x100
_libc: Final = ctypes.CDLL(None, use_errno=True)


def inotify(patient: Patient) -> Iterator[Check]:
    """Tries it: how many are in use can be seen by nobody but root."""
    inbox = patient.settings.spool / "inbox"
    if not inbox.is_dir():
        return
    if filesystem_of(inbox).is_network:
        yield ok(NAME, "not used: a network file system shows no events of other hosts")
        return
    descriptor = _libc.inotify_init1(os.O_CLOEXEC)
    if descriptor < 0:
        yield _refused("instances", ctypes.get_errno())
        return
    try:
        watch = _libc.inotify_add_watch(descriptor, os.fsencode(inbox), _IN_CREATE)
        yield (_refused("watches", ctypes.get_errno()) if watch < 0 else ok(NAME, "to be had"))
    finally:
        os.close(descriptor)


def _refused(what: str, code: int) -> Check:
    late = "jobs are found by the regular scan alone (limits.scan_interval_s)"
    if code not in (errno.EMFILE, errno.ENOSPC):
        return warn(NAME, f"{os.strerror(code)}; {late}", "see whether the host offers inotify at all")
    name = f"max_user_{what}"
    limit = _limit(name)
    return warn(
        NAME,
        f"the limit of {what} of this user is reached (fs.inotify.{name} = {limit}); {late}",
        f"raise it: sysctl fs.inotify.{name}={max(512, 4 * limit)}, and in /etc/sysctl.d/ for good; in a container "
        f"also user.max_inotify_{what}",
    )


def _limit(name: str) -> int:
    try:
        return int((_LIMITS / name).read_text())
    except (OSError, ValueError):
        return 0
