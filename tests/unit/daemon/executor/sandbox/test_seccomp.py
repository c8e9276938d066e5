"""The filter's decisions, for both processors, call by call."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.sandbox.seccomp import (
    ALLOW,
    AUDIT_ARCH,
    ERRNO,
    KILL_PROCESS,
    NAMESPACE_FLAGS,
    REFUSED,
    deny_list,
)
from kbd.daemon.executor.sandbox.syscall_table import UnknownMachine, exists, number_of

EPERM, ENOSYS = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
MACHINES = ("x86_64", "aarch64")
SIGCHLD = 17


@pytest.fixture(params=MACHINES)
def machine(request):
    return request.param


@pytest.fixture
def decide(run_filter, machine):
    def decide(number, *arguments, netlink=False, arch=AUDIT_ARCH[machine]):
        padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
        record = struct.pack("=IIQ6Q", number, arch, 0, *padded)
        return run_filter(deny_list(machine, netlink=netlink), record)

    return decide


def test_every_refused_call_is_refused(decide, machine):
    for name in REFUSED:
        if exists(name, machine):
            assert decide(number_of(name, machine)) == EPERM, name


def test_everyday_calls_are_allowed(decide, machine):
    everyday = {"x86_64": (0, 1, 9, 39, 57, 59, 202, 231), "aarch64": (63, 64, 222, 172, 221, 98, 94)}
    assert {decide(number) for number in everyday[machine]} == {ALLOW}


@given(flags=st.integers(0, (1 << 32) - 1))
def test_clone_is_refused_exactly_with_a_namespace(run_filter, flags):
    for machine in MACHINES:
        record = struct.pack(
            "=IIQ6Q", number_of("clone", machine), AUDIT_ARCH[machine], 0, flags, 0, 0, 0, 0, 0
        )
        expected = EPERM if flags & NAMESPACE_FLAGS else ALLOW
        assert run_filter(deny_list(machine, netlink=False), record) == expected


def test_threads_and_forks_are_no_namespaces(decide, machine):
    thread = 0x3D0F00
    assert decide(number_of("clone", machine), thread) == ALLOW
    assert decide(number_of("clone", machine), SIGCHLD) == ALLOW


def test_clone3_is_said_not_to_exist(decide, machine):
    assert decide(number_of("clone3", machine)) == ENOSYS


@pytest.mark.parametrize(
    ("family", "netlink", "expected"),
    [
        *((family, False, ALLOW) for family in (1, 2, 10)),
        *((family, False, EPERM) for family in (0, 16, 17, 38, 40, 44, 255)),
        (16, True, ALLOW),
        (17, True, EPERM),
    ],
)
def test_socket_families(decide, machine, family, netlink, expected):
    assert decide(number_of("socket", machine), family, netlink=netlink) == expected


def test_calls_of_another_processor_kill(decide):
    i386 = 0x4000_0003
    assert decide(20, arch=i386) == KILL_PROCESS


def test_x32_calls_do_not_exist(run_filter):
    record = struct.pack("=IIQ6Q", 0x4000_0000 + 101, AUDIT_ARCH["x86_64"], 0, *[0] * 6)
    assert run_filter(deny_list("x86_64", netlink=False), record) == ENOSYS


def test_an_unknown_processor_is_named():
    with pytest.raises(UnknownMachine, match="riscv64"):
        deny_list("riscv64", netlink=False)
