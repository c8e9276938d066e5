"""The assembler: programs mean what they say, by a small machine that runs them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.sandbox import bpf

WORDS = st.integers(0, (1 << 32) - 1)
YES, NO = bpf.give(1), bpf.give(0)


@given(WORDS, WORDS)
def test_comparisons(run_filter, value, constant):
    record = struct.pack("=I", value)
    start = bpf.load(0)
    assert run_filter((*start, *bpf.when_equal(constant, YES), *NO), record) == (value == constant)
    assert run_filter((*start, *bpf.unless_equal(constant, YES), *NO), record) == (value != constant)
    assert run_filter((*start, *bpf.when_at_least(constant, YES), *NO), record) == (value >= constant)
    assert run_filter((*start, *bpf.when_any_bit(constant, YES), *NO), record) == bool(value & constant)


@given(st.lists(WORDS, min_size=2, max_size=4), st.integers(0, 1))
def test_words_are_loaded_from_their_place(run_filter, words, place):
    record = struct.pack(f"={len(words)}I", *words)
    program = (*bpf.load(4 * place), *bpf.when_equal(words[place], YES), *NO)
    assert run_filter(program, record) == 1


def test_instructions_are_eight_bytes():
    assert len(bpf.assemble((*bpf.load(0), *YES))) == 16
    assert bpf.assemble(bpf.give(0x7FFF_0000)) == struct.pack("=HBBI", 6, 0, 0, 0x7FFF_0000)


def test_a_jump_too_long_for_the_machine_is_an_error():
    with pytest.raises(struct.error):
        bpf.assemble(bpf.when_equal(1, YES * 256))
