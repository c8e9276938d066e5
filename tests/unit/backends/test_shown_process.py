"""Compilers' words are shown as they come and kept; nothing else that is run changes."""

import io
import os
import subprocess
import sys
import threading

import pytest

from kbd.backends.shown_process import run_shown, show, showing_subprocess

SPEAKS = "print('one', flush=True); import sys; print('two', file=sys.stderr)"


def python(code):
    return [sys.executable, "-c", code]


def test_both_outputs_are_shown_and_kept(capsys):
    done = run_shown(python(SPEAKS))
    assert (done.returncode, done.stdout) == (0, b"one\ntwo\n")
    assert capsys.readouterr() == ("one\ntwo\n", "")


def test_they_are_shown_while_it_runs(monkeypatch):
    """The program ends only when its first line has been seen."""
    seen = threading.Event()

    class Screen(io.StringIO):
        def write(self, text):
            seen.set()
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Screen())
    read, write = os.pipe()
    threading.Thread(target=lambda: seen.wait(60) and os.write(write, b"go"), daemon=True).start()
    code = f"import os; print('first', flush=True); assert os.read({read}, 2) == b'go'; print('last')"
    done = run_shown(python(code), pass_fds=[read], check=True)
    assert done.stdout == b"first\nlast\n"
    for descriptor in (read, write):
        os.close(descriptor)


def test_failure_is_raised_with_the_words_if_asked():
    fails = python("print('no'); raise SystemExit(3)")
    assert run_shown(fails).returncode == 3
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_shown(fails, check=True)
    assert (caught.value.returncode, caught.value.output) == (3, b"no\n")


def test_a_program_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        run_shown(["/no/such/compiler"])


def test_what_is_no_text_is_kept_as_it_is(capsys):
    done = run_shown(python(r"import sys; sys.stdout.buffer.write(b'\xff without an end')"))
    assert done.stdout == b"\xff without an end"
    assert capsys.readouterr().out == "\N{REPLACEMENT CHARACTER} without an end"


def test_a_closed_stdout_does_no_harm(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    show("unheard")
    assert run_shown(python(SPEAKS)).stdout == b"one\ntwo\n"


def test_in_place_of_subprocess_only_collected_output_is_shown(capsys):
    shown = showing_subprocess()
    collected = shown.run(python(SPEAKS), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    assert collected.stdout == b"one\ntwo\n"
    assert capsys.readouterr().out == "one\ntwo\n"
    assert shown.run(python(SPEAKS), capture_output=True).stdout == b"one\n"
    assert shown.check_output(python("print('three')")) == b"three\n"
    assert capsys.readouterr().out == ""
    assert subprocess.run is not shown.run
    assert shown.CalledProcessError is subprocess.CalledProcessError


def test_what_takes_too_long_is_killed_with_all_that_it_has_started(capsys):
    code = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); "
        "child.wait()"
    )
    done = run_shown(python(code), limit_s=1.0)
    assert done.returncode == -9
    capsys.readouterr()
    child = int(done.stdout)  # the pipe has ended, so nobody holds it any more
    assert child > 0


def test_what_is_quick_enough_is_not(capsys):
    assert run_shown(python(SPEAKS), limit_s=600).stdout == b"one\ntwo\n"
