"""What the kernel counts says whether processes were kept waiting."""

import time

import pytest

from kbd.daemon.judge.host_load import HostLoad

QUIET = (50, 0, 10, 100, 0, 0, 0, 0)


def moments(*, stalled=(0, 0), ticks=QUIET, seconds=1.0):
    """The counters before and after; `ticks` are those of the time between."""
    some = [None, None] if stalled is None else stalled
    before = HostLoad(10.0, some[0], None if ticks is None else (7,) * 8)
    after = HostLoad(10.0 + seconds, some[1], None if ticks is None else tuple(7 + tick for tick in ticks))
    return before, after


@pytest.mark.parametrize(
    ("told", "busy"),
    [
        ({}, False),
        ({"stalled": (5_000_000, 5_150_000)}, False),
        ({"stalled": (5_000_000, 5_250_000)}, True),
        ({"stalled": (5_000_000, 5_250_000), "seconds": 2.0}, False),
        ({"ticks": (50, 0, 10, 100, 0, 0, 0, 20)}, True),
        ({"ticks": (150, 0, 10, 0, 0, 0, 0, 0)}, False),
        ({"stalled": None, "ticks": (150, 0, 10, 0, 0, 0, 0, 0)}, True),
        ({"stalled": None}, False),
        ({"stalled": None, "ticks": None}, False),
        ({"ticks": None}, False),
    ],
    ids=str,
)
def test_whether_somebody_had_to_wait(told, busy):
    before, after = moments(**told)
    assert after.was_busy_since(before) is busy


def test_this_host():
    before = HostLoad.now()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = HostLoad.now()
    assert after.moment_s > before.moment_s
    assert sum(after.ticks) >= sum(before.ticks)


@pytest.mark.parametrize("text", ["", "nonsense\n", "some avg10=0.00 total=x\n"])
def test_a_kernel_that_does_not_count(tmp_path, text):
    (tmp_path / "pressure").mkdir()
    for name in ("pressure/cpu", "stat"):
        (tmp_path / name).write_text(text)
    found = HostLoad.now(tmp_path)
    assert found.stalled_us is None
    assert not found.was_busy_since(found)
    assert HostLoad.now(tmp_path / "nowhere").ticks is None
