"""Which kernels a call launches, as far as a machine without a GPU can see."""

import subprocess
import sys
import textwrap

import pytest
import torch

from kbd.backends.launches import LaunchRecord, _with_what_triton_knows, readable, record_launches


def test_nothing_is_launched_where_nothing_is_compiled():
    called = []
    assert record_launches(lambda: called.append(1), torch.device("cpu")) == []
    assert called == [1]


def test_what_the_call_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        record_launches(lambda: 1 / 0, torch.device("cpu"))


def test_triton_adds_what_it_knows_to_what_the_device_ran():
    seen = [
        LaunchRecord("fill", (1, 1, 1)),
        LaunchRecord("add", (9, 1, 1), (128, 1, 1)),
        LaunchRecord("add", (2, 1, 1)),
    ]
    known = [LaunchRecord("add", (9,), num_warps=4, spills=0), LaunchRecord("add", (2,), num_warps=8)]
    assert _with_what_triton_knows(seen, known) == [
        seen[0],
        LaunchRecord("add", (9, 1, 1), (128, 1, 1), num_warps=4, spills=0),
        LaunchRecord("add", (2, 1, 1), num_warps=8),
    ]


def test_names_are_told_as_they_were_written():
    assert readable("add_kernel") == "add_kernel"
    assert readable("_Z3addIfEvPT_i") == "void add<float>(float*, int)"


INTERPRETED = """
    import torch
    from kbd.backends.triton_interpreter import _interpret_from_now_on
    _interpret_from_now_on()
    from kbd.backends.launches import record_launches
    import sys
    sys.path.insert(0, {folder!r})
    import kernels
    x = torch.ones(100)
    for one in record_launches(lambda: kernels.run(x), torch.device("cpu")):
        print(one.kernel, one.grid, one.config)
    print(x[0].item(), record_launches(lambda: None, torch.device("cpu")))
"""
KERNELS = """
import triton
import triton.language as tl


@triton.jit
def bump(x_ptr, n, B: tl.constexpr):
    places = tl.program_id(0) * B + tl.arange(0, B)
    tl.store(x_ptr + places, tl.load(x_ptr + places, mask=places < n) + 1, mask=places < n)


def run(x):
    bump[lambda meta: (triton.cdiv(meta["n"], meta["B"]),)](x, 100, B=32)
    bump[(1,)](x, 100, 128)
"""


def test_interpreted_launches_are_seen(tmp_path):
    pytest.importorskip("triton", reason="Triton is not installed")
    (tmp_path / "kernels.py").write_text(KERNELS)
    code = textwrap.dedent(INTERPRETED).format(folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "bump (4,) (('B', 32),)",
        "bump (1,) (('B', 128),)",
        "3.0 []",
    ]
