"""Linux calls that Python does not offer, through libc."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def die_with_parent() -> None:
    """Be killed when the THREAD that is now this process's parent ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (child sub-reaper)."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def renounce_privileges() -> None:
    """No execve from here on gives more rights (no_new_privs)."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
