"""The Landlock layer: what of the file system, TCP and other processes' sockets and signals is within reach.

The newest interface that the kernel offers is used (linux/landlock.h, the ABI versions of
https://docs.kernel.org/userspace-api/landlock.html). Everything is handled, that is refused, except what a rule
allows; there are no rules for TCP, so no port may be bound or connected to.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kbd.daemon.executor.kernel_calls import system_call

CREATE_RULESET_VERSION: Final = 1
RULE_PATH_BENEATH: Final = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR = 1 << 4, 1 << 5, 1 << 6, 1 << 7
MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK = 1 << 8, 1 << 9, 1 << 10, 1 << 11
MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV = 1 << 12, 1 << 13, 1 << 14, 1 << 15

READING: Final = EXECUTE | READ_FILE | READ_DIR
DEVICES: Final = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV
OWN_PROCESSES: Final = READING | WRITE_FILE | TRUNCATE
EVERYTHING: Final = (1 << 16) - 1
OWN: Final = EVERYTHING & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV)
FOR_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

# (first ABI that has it, all file system rights up to then)
_FILE_SYSTEM_RIGHTS: Final = ((1, (1 << 13) - 1), (2, (1 << 14) - 1), (3, (1 << 15) - 1), (5, EVERYTHING))
TCP_FROM_ABI, TCP_RIGHTS = 4, 0b11
SCOPES_FROM_ABI, SCOPES = 6, 0b11


@dataclass(frozen=True)
class Rule:
    """Beneath (or at) this path, these rights."""

    path: str
    rights: int


def abi_of_kernel() -> int:
    """The version of Landlock that runs here. Raises OSError where there is none."""
    return system_call("landlock_create_ruleset", None, ctypes.c_size_t(0), CREATE_RULESET_VERSION)


def handled_rights(abi: int) -> int:
    """The file system rights that this version can refuse."""
    return max(rights for first, rights in _FILE_SYSTEM_RIGHTS if abi >= first)


def ruleset_attributes(abi: int) -> bytes:
    """Struct landlock_ruleset_attr, as long as this version knows it."""
    fields = [handled_rights(abi)]
    if abi >= TCP_FROM_ABI:
        fields.append(TCP_RIGHTS)
    if abi >= SCOPES_FROM_ABI:
        fields.append(SCOPES)
    return struct.pack(f"={len(fields)}Q", *fields)


def restrict(rules: Iterable[Rule]) -> None:
    """Confine this thread and all that it starts, for good. Needs no_new_privs. Raises OSError."""
    abi = abi_of_kernel()
    attributes = ruleset_attributes(abi)
    ruleset = system_call("landlock_create_ruleset", attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for rule in rules:
            _add(ruleset, rule, handled_rights(abi))
        system_call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, rule: Rule, handled: int) -> None:
    try:
        place = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return  # what is out of reach already needs no rule
    try:
        rights = rule.rights & handled
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= FOR_FILES
        system_call("landlock_add_rule", ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)
