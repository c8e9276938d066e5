"""The numbers, against the C library's headers where they are installed."""

import os
import re
from pathlib import Path

import pytest

from kbd.daemon.executor.sandbox.syscall_table import _NUMBERS, UnknownMachine, exists, number_of

HEADERS = (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h"))
GENERIC = Path("/usr/include/asm-generic/unistd.h")


def _defined(path):
    return {
        name: int(number)
        for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", path.read_text(), flags=re.MULTILINE)
    }


def test_numbers_of_x86_64_are_the_headers():
    header = next((path for path in HEADERS if path.exists()), None)
    if header is None:
        pytest.skip("the kernel's headers for x86_64 are not installed")
    defined = _defined(header)
    known = {name: pair[0] for name, pair in _NUMBERS.items() if name in defined}
    assert len(known) > 50
    assert known == {name: defined[name] for name in known}


def test_numbers_of_aarch64_are_the_generic_ones():
    if not GENERIC.exists():
        pytest.skip("the kernel's generic headers are not installed")
    defined = _defined(GENERIC)
    known = {name: pair[1] for name, pair in _NUMBERS.items() if name in defined and pair[1] is not None}
    assert len(known) > 50
    assert known == {name: defined[name] for name in known}


def test_this_machine_is_the_default():
    assert number_of("mount") == number_of("mount", os.uname().machine)


def test_unknown_machines_and_calls_are_told_apart():
    with pytest.raises(UnknownMachine, match="sparc64"):
        number_of("mount", "sparc64")
    with pytest.raises(UnknownMachine, match="iopl"):
        number_of("iopl", "aarch64")
    with pytest.raises(KeyError):
        number_of("no_such_call", "x86_64")
    assert not exists("iopl", "aarch64")
