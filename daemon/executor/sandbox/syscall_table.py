"""Numbers of the system calls that the sandbox makes or refuses, from the kernel's asm/unistd.h."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class UnknownMachine(LookupError):
    """No numbers are known for this processor; the message says for which they are."""


# name: (x86_64, aarch64); None where that processor has no such call.
_COLUMNS: Final = ("x86_64", "aarch64")
_NUMBERS: Final[Mapping[str, tuple[int | None, int | None]]] = MappingProxyType(
    {
        "acct": (163, 89),
        "add_key": (248, 217),
        "adjtimex": (159, 171),
        "bpf": (321, 280),
        "chroot": (161, 51),
        "clock_adjtime": (305, 266),
        "clock_settime": (227, 112),
        "clone": (56, 220),
        "clone3": (435, 435),
        "delete_module": (176, 106),
        "fanotify_init": (300, 262),
        "finit_module": (313, 273),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fsopen": (430, 430),
        "fspick": (433, 433),
        "init_module": (175, 105),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
        "io_uring_setup": (425, 425),
        "ioperm": (173, None),
        "iopl": (172, None),
        "kcmp": (312, 272),
        "kexec_file_load": (320, 294),
        "kexec_load": (246, 104),
        "keyctl": (250, 219),
        "landlock_add_rule": (445, 445),
        "landlock_create_ruleset": (444, 444),
        "landlock_restrict_self": (446, 446),
        "lookup_dcookie": (212, 18),
        "mount": (165, 40),
        "mount_setattr": (442, 442),
        "move_mount": (429, 429),
        "nfsservctl": (180, 42),
        "open_by_handle_at": (304, 265),
        "open_tree": (428, 428),
        "open_tree_attr": (467, 467),
        "perf_event_open": (298, 241),
        "pidfd_getfd": (438, 438),
        "pivot_root": (155, 41),
        "process_madvise": (440, 440),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "ptrace": (101, 117),
        "quotactl": (179, 60),
        "quotactl_fd": (443, 443),
        "reboot": (169, 142),
        "request_key": (249, 218),
        "seccomp": (317, 277),
        "setdomainname": (171, 162),
        "sethostname": (170, 161),
        "setns": (308, 268),
        "settimeofday": (164, 170),
        "socket": (41, 198),
        "swapoff": (168, 225),
        "swapon": (167, 224),
        "syslog": (103, 116),
        "umount2": (166, 39),
        "unshare": (272, 97),
        "userfaultfd": (323, 282),
        "vhangup": (153, 58),
    }
)


def number_of(name: str, machine: str | None = None) -> int:
    """The call's number on this processor. Raises UnknownMachine; KeyError for a call nobody wrote down."""
    machine = machine or os.uname().machine
    if machine not in _COLUMNS:
        raise UnknownMachine(f"system calls are known for {' and '.join(_COLUMNS)}, this is {machine}")
    number = _NUMBERS[name][_COLUMNS.index(machine)]
    if number is None:
        raise UnknownMachine(f"{machine} has no system call {name}")
    return number


def exists(name: str, machine: str) -> bool:
    """Whether this processor has such a call."""
    return _NUMBERS[name][_COLUMNS.index(machine)] is not None
