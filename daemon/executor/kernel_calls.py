"""Linux calls that Python does not offer, through libc.

Every refusal is an OSError whose text names the call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal

from kbd.daemon.executor.sandbox.syscall_table import UnknownMachine, number_of

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

CLONE_PARENT = 0x0000_8000
CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

LINUX_CAPABILITY_VERSION_3 = 0x2008_0522

_libc = ctypes.CDLL(None, use_errno=True)
# The same library, called without letting go of the interpreter's lock: a fork must keep it.
_libc_locked = ctypes.PyDLL(None, use_errno=True)


def checked(result: int, call: str) -> int:
    """The result of a libc call, or the OSError that it means."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
    return result


def system_call(name: str, *arguments: object) -> int:
    """A system call that libc has no function for."""
    return checked(_libc.syscall(_number(name), *arguments), name)


def _number(call: str) -> ctypes.c_long:
    try:
        return ctypes.c_long(number_of(call))
    except UnknownMachine as error:
        raise OSError(errno.ENOSYS, f"{call}: {error}") from None


def _prctl(option: int, argument: int, more: int = 0) -> None:
    arguments = (ctypes.c_ulong(value) for value in (argument, more, 0, 0))
    checked(_libc.prctl(option, *arguments), f"prctl({option})")


def die_with_parent() -> None:
    """Be killed when the THREAD that is now this process's parent ends. A change of credentials undoes it."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (child sub-reaper)."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def renounce_privileges() -> None:
    """No execve from here on gives more rights (no_new_privs)."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(dumpable: bool) -> None:
    """Whether others of the same user may look into this process (ptrace, /proc/PID/mem, /proc/PID/environ)."""
    _prctl(PR_SET_DUMPABLE, int(dumpable))


def drop_bounding_set() -> None:
    """Let no execve ever give a capability; a process without the right to say so has none to lose."""
    for capability in range(64):
        try:
            _prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            return  # past the last one that this kernel knows, or not permitted


def drop_capabilities() -> None:
    """Give up every capability that is held: effective, permitted, inheritable and ambient."""
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def unshare(flags: int) -> None:
    """Leave these namespaces of the parent for new ones (os.unshare, which Python has from 3.12 on)."""
    checked(_libc.unshare(flags), f"unshare({flags:#x})")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount something (mount(2)). Raises OSError."""
    result = _libc.mount(
        source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    checked(result, f"mount {kind} {source} on {target}")


def unmount(target: str, flags: int) -> None:
    """Unmount something (umount2(2)). Raises OSError."""
    checked(_libc.umount2(os.fsencode(target), flags), f"umount {target}")


def fork_sibling(flags: int) -> int:
    """Fork a child of OUR parent, in the new namespaces that the flags name; 0 in the child, else its pid.

    One process less than fork, unshare, fork, exit: a fork of an interpreter with torch costs about as much as
    everything else together. Functions registered with pthread_atfork do not run, so the child should only
    fork again, by `os.fork`. Surrounded by the calls that Python's C API wants around "fork() or any similar
    function that clones the current process". Raises OSError.
    """
    python = ctypes.pythonapi
    number, zero = _number("clone"), ctypes.c_ulong(0)
    wanted = ctypes.c_ulong(flags | CLONE_PARENT | signal.SIGCHLD)
    python.PyOS_BeforeFork()
    pid = _libc_locked.syscall(number, wanted, zero, zero, zero, zero)
    code = ctypes.get_errno()
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(code, f"clone({flags:#x}): {os.strerror(code)}")
    return int(pid)
