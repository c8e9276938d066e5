"""The seccomp layer: system calls that no kernel needs and that have carried attacks are refused with EPERM.

A deny list on purpose: an allow list for Python, torch, a compiler and the CUDA driver together would break at
every new version of any of them, and the other layers do not depend on this one. What is refused: looking into
other processes, changing mounts and namespaces, loading code into the Linux kernel (modules, BPF, kexec), its
less hardened entrances (io_uring, userfaultfd, perf, keyrings), setting clocks and administration at large.
"""

from __future__ import annotations

import ctypes
import errno
import os

from kbd.daemon.executor.kernel_calls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    system_call,
)
from kbd.daemon.executor.sandbox import bpf
from kbd.daemon.executor.sandbox.syscall_table import UnknownMachine, exists, number_of

REFUSED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "unshare", "setns"),
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("add_key", "request_key", "keyctl", "lookup_dcookie", "open_by_handle_at", "fanotify_init"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname"),
    *("acct", "swapon", "swapoff", "quotactl", "quotactl_fd", "reboot", "syslog", "vhangup", "nfsservctl"),
    *("ioperm", "iopl"),
)
NAMESPACE_FLAGS = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16

AUDIT_ARCH = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
X32_CALLS = 0x4000_0000

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6] (little-endian on both machines).
NUMBER, ARCH, FIRST_ARGUMENT = 0, 4, 16

ALLOW = 0x7FFF_0000
KILL_PROCESS = 0x8000_0000
ERRNO = 0x0005_0000

SET_MODE_FILTER = 1
FLAG_TSYNC = 1
FLAG_SPEC_ALLOW = 4


class _FilterProgram(ctypes.Structure):
    """Struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def deny_list(machine: str, *, netlink: bool) -> bpf.Program:
    """The filter for this processor. `netlink`: whether the CUDA driver may open netlink sockets."""
    if machine not in AUDIT_ARCH:
        raise UnknownMachine(f"no seccomp filter is known for {machine}")
    refuse = bpf.give(ERRNO | errno.EPERM)
    absent = bpf.give(ERRNO | errno.ENOSYS)
    refused = [number_of(name, machine) for name in REFUSED if exists(name, machine)]
    return (
        *bpf.load(ARCH),
        *bpf.unless_equal(AUDIT_ARCH[machine], bpf.give(KILL_PROCESS)),
        *bpf.load(NUMBER),
        *(bpf.when_at_least(X32_CALLS, absent) if machine == "x86_64" else ()),
        *(instruction for number in refused for instruction in bpf.when_equal(number, refuse)),
        # Its flags lie behind a pointer, where no filter can look; C libraries fall back to clone.
        *bpf.when_equal(number_of("clone3", machine), absent),
        *bpf.when_equal(number_of("clone", machine), _without_namespaces(refuse)),
        *bpf.when_equal(number_of("socket", machine), _only_families(refuse, netlink=netlink)),
        *bpf.give(ALLOW),
    )


def _without_namespaces(refuse: bpf.Program) -> bpf.Program:
    return (*bpf.load(FIRST_ARGUMENT), *bpf.when_any_bit(NAMESPACE_FLAGS, refuse), *bpf.give(ALLOW))


def _only_families(refuse: bpf.Program, *, netlink: bool) -> bpf.Program:
    families = (AF_UNIX, AF_INET, AF_INET6, *((AF_NETLINK,) if netlink else ()))
    allowed = (step for family in families for step in bpf.when_equal(family, bpf.give(ALLOW)))
    return (*bpf.load(FIRST_ARGUMENT), *allowed, *refuse)


def install(*, netlink: bool) -> None:
    """Put every thread of this process under the filter, for good. Needs no_new_privs. Raises OSError."""
    try:
        program = deny_list(os.uname().machine, netlink=netlink)
    except UnknownMachine as error:
        raise OSError(errno.ENOSYS, str(error)) from None
    filter_program = _FilterProgram(len(program), bpf.assemble(program))
    # Without SPEC_ALLOW older kernels slow the process down by their mitigation of speculative store bypass.
    for flags in (FLAG_TSYNC | FLAG_SPEC_ALLOW, FLAG_TSYNC):
        try:
            system_call("seccomp", SET_MODE_FILTER, flags, ctypes.byref(filter_program))
        except OSError as error:
            if error.errno != errno.EINVAL or flags == FLAG_TSYNC:
                raise
        else:
            return
