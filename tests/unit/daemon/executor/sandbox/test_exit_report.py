"""The report of an end: what is written is read, and nothing is waited for."""

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.sandbox.exit_report import ExitReport, read_report, report_end, report_refusal
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.refusal import LayerRefused


def _wait_status(act):
    child = os.fork()
    if child == 0:
        act()
        os._exit(99)
    return os.waitpid(child, 0)[1]


def test_nothing_was_said(pipe):
    assert read_report(pipe[0]) == ExitReport()
    assert not read_report(pipe[0]).ended


def test_an_exit_code(pipe):
    report_end(pipe[1], _wait_status(lambda: os._exit(7)), 4096)
    report = read_report(pipe[0])
    assert report == ExitReport(code=7, peak_bytes=4096)
    assert report.ended


def test_a_signal(pipe):
    report_end(pipe[1], _wait_status(lambda: os.kill(os.getpid(), signal.SIGKILL)), 1)
    assert read_report(pipe[0]) == ExitReport(signal=signal.SIGKILL, peak_bytes=1)


@given(layer=st.sampled_from(Layer), reason=st.text(max_size=3000))
def test_a_refusal_with_any_reason(layer, reason):
    reading, writing = os.pipe()
    try:
        report_refusal(writing, LayerRefused(layer, reason))
        report_end(writing, 256, 0)
        report = read_report(reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert report.refused.layer is layer
    assert report.refused.reason in " ".join(reason.encode(errors="replace").decode().split())
    assert report.code == 1


@pytest.mark.parametrize("noise", [b"\n", b"exit\n", b"something else\n", b"\xff\xfe\n"])
def test_what_is_no_report_says_nothing(pipe, noise):
    os.write(pipe[1], noise)
    assert not read_report(pipe[0]).ended
