"""A machine for filters, and sandboxes to plan with."""

import struct

import pytest

from kbd.daemon.executor.sandbox import bpf


def _run(program, record):
    code = bpf.assemble(program)
    accumulator, place = 0, 0
    while True:
        operation, if_true, if_false, constant = struct.unpack_from("=HBBI", code, 8 * place)
        place += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", record, constant)
            case 0x06:
                return constant
            case 0x15:
                place += if_true if accumulator == constant else if_false
            case 0x35:
                place += if_true if accumulator >= constant else if_false
            case 0x45:
                place += if_true if accumulator & constant else if_false
            case _:
                raise AssertionError(f"no such operation: {operation:#x}")


@pytest.fixture(scope="session")
def run_filter():
    """Run a BPF program on a record as the Linux kernel does; gives what it returns."""
    return _run
