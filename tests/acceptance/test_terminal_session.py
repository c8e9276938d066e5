"""A person at a real terminal: an interactive shell behind a pseudo-terminal, typed into, Ctrl-C included."""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time

import pytest

LIMIT_S = 120
CTRL_C = "\x03"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[=>]")

pytestmark = pytest.mark.xdist_group("settled")

TALKATIVE = """
candidate:
  kernel_type: torch
  source_code: |
    import time
    print("\\x1b[2Jgood morning", flush=True)
    def f(x):
        print("called", flush=True)
        time.sleep(1000)
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [8], dtype: float32}}]}
timeout: 900
"""


# Whoever started the tests in the background may have had them ignore it, and a shell can never change that.
HEARS_CTRL_C = ["env", "--default-signal=INT"]


class Terminal:
    """A shell in a terminal of 100 columns; `screen` is everything that was written to it."""

    def __init__(self, user):
        self.screen = ""
        self.seen = 0
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        environment = user.environment | {"TERM": "xterm-256color", "PS1": "ready> ", "LANG": "C.UTF-8"}
        self._shell = subprocess.Popen(
            [*HEARS_CTRL_C, "setsid", "--ctty", "--wait", "bash", "--norc", "--noprofile", "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=user.home,
            env=environment,
        )
        os.close(slave)
        self.expect("ready> ")

    def types(self, text):
        """Keys; what was on the screen before is not expected any more."""
        self.seen = len(self.screen)
        os.write(self._master, text.encode())

    def enters(self, line):
        self.types(f"{line}\n")
        self.expect(f"{line.split()[0]}")  # its echo

    def expect(self, *words):
        """Wait until a line with these words appears after what was typed last; returns what is there since."""
        deadline = time.monotonic() + LIMIT_S
        while not any(all(word in line for word in words) for line in self.text().splitlines(keepends=True)):
            left = deadline - time.monotonic()
            assert left > 0, f"no {words!r} in:\n{self.text()}"
            readable, _, _ = select.select([self._master], [], [], left)
            if readable:
                self.screen += os.read(self._master, 65536).decode(errors="replace")
        return self.text()

    def text(self):
        """What was written since, without colours and movements."""
        return ESCAPES.sub("", self.screen[self.seen :])

    def ends_with(self, code):
        """The exit code of the last command."""
        self.enters("echo the code is $?")
        self.expect(f"the code is {code}\r\n")

    def close(self):
        self._shell.kill()
        self._shell.wait()
        os.close(self._master)


@pytest.fixture
def terminals(settled):
    if shutil.which("setsid") is None:
        pytest.skip("setsid (util-linux) is not installed")
    opened = []

    def open_one():
        opened.append(Terminal(settled))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


def test_submit_watch_follow_cancel(settled, terminals):
    settled.writes("talks.yaml", TALKATIVE)
    first, second = terminals(), terminals()

    first.enters("kbd submit talks.yaml")
    first.expect("talks\r\n")
    first.ends_with(0)

    first.enters("kbd status --watch")
    first.expect("talks")
    first.expect("validating")
    assert "\x1b[" in first.screen, "it is drawn in place"

    second.enters("kbd logs -f talks --role candidate")
    shown = second.expect("called")
    assert "\\x1b[2Jgood morning" in shown, "what a kernel prints is shown and not obeyed"
    assert "\x1b[2J" not in second.screen

    fourth = terminals()
    fourth.enters("kbd wait talks")
    fourth.expect("0 of 1 done")

    third = terminals()
    third.enters("kbd cancel talks --reason enough")
    third.expect("talks is cancelled")
    third.ends_with(0)

    fourth.expect("cancelled")
    fourth.ends_with(1)
    assert not re.search(r"done\)(\x1b\[[0-9;]*m)*talks", fourth.screen), "the verdict has a line of its own"

    second.expect("ready> ")
    second.ends_with(0)
    first.expect("talks", "cancelled")
    first.types(CTRL_C)
    first.expect("ready> ")
    first.ends_with(0)
    assert first.screen.rfind("\x1b[?25h") > first.screen.rfind("\x1b[?25l"), "the cursor is back"

    third.enters("kbd wait talks")
    third.expect("cancelled")
    third.ends_with(1)


def test_ctrl_c_while_waiting(settled, terminals):
    settled.writes("awaited.yaml", TALKATIVE)
    terminal = terminals()
    terminal.enters("kbd submit --wait awaited.yaml")
    terminal.expect("waiting for awaited")
    terminal.types(CTRL_C)
    shown = terminal.expect("ready> ")
    assert "Traceback" not in shown
    terminal.ends_with(130)
    settled.kbd("cancel", "awaited")
