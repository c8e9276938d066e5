"""A very small assembler for classic BPF, the language of seccomp filters.

A program is a tuple of instructions, eight bytes each: code, jump if true, jump if false, constant
(struct sock_filter, linux/filter.h).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
JUMP_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

_LAYOUT = struct.Struct("=HBBI")


@dataclass(frozen=True)
class Instruction:
    """One instruction; jumps count the instructions to skip."""

    code: int
    constant: int
    if_true: int = 0
    if_false: int = 0


Program = tuple[Instruction, ...]


def load(offset: int) -> Program:
    """The 32-bit word at this offset of the examined record becomes the accumulator."""
    return (Instruction(LOAD_WORD, offset),)


def give(result: int) -> Program:
    """The filter's answer."""
    return (Instruction(RETURN, result),)


def when_equal(value: int, then: Program) -> Program:
    """Run `then` if the accumulator is this value, else go on behind it."""
    return (Instruction(JUMP_EQUAL, value, 0, len(then)), *then)


def when_at_least(value: int, then: Program) -> Program:
    """Run `then` if the accumulator, unsigned, is this value or more, else go on behind it."""
    return (Instruction(JUMP_AT_LEAST, value, 0, len(then)), *then)


def when_any_bit(mask: int, then: Program) -> Program:
    """Run `then` if the accumulator has any of these bits, else go on behind it."""
    return (Instruction(JUMP_ANY_BIT, mask, 0, len(then)), *then)


def unless_equal(value: int, then: Program) -> Program:
    """Run `then` unless the accumulator is this value, else go on behind it."""
    return (Instruction(JUMP_EQUAL, value, len(then), 0), *then)


def assemble(program: Program) -> bytes:
    """The program as the kernel reads it. Raises struct.error if a jump is longer than 255."""
    return b"".join(_LAYOUT.pack(one.code, one.if_true, one.if_false, one.constant) for one in program)
