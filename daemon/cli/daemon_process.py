"""A daemon of one's own, for as long as a `with` block lasts.

::

    kbd demo ──fork, exec──► kbd run --spool … --state …      stdout and stderr → OUTPUT
             ──SIGTERM, then SIGKILL──►                       always, however the block ends
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kbd.daemon.cli.place import Place
from kbd.store.location import SQLITE

STOP_GRACE_S: Final = 15.0
"""Longer than the daemon gives its own jobs, so that it is killed only when it is stuck."""

SHOWN_LINES: Final = 15


@contextmanager
def daemon_process(place: Place, output: Path, options: Sequence[str] = ()) -> Iterator["DaemonProcess"]:
    """Start `kbd run`, and end it with the block.

    Args:
        place: the spool and state folder it gets.
        output: the file that receives what it prints.
        options: further options of `kbd run`.
    """
    named = ["--spool", str(place.spool_root), "--state", str(place.state)]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kbd.daemon.cli.main", "run", *named, *options],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=_without_kbd_settings(os.environ),
            # Ctrl-C is ours to handle: the daemon is told to stop once, by us.
            start_new_session=True,
        )
    daemon = DaemonProcess(process, output)
    try:
        yield daemon
    finally:
        daemon.stop()


class DaemonProcess:
    """The running child; build it with `daemon_process`."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output
        self.pid = process.pid

    @property
    def exit_status(self) -> int | None:
        """Its exit status once it has ended, else None."""
        return self._process.poll()

    def wait(self) -> int:
        """Until it ends by itself; its exit status."""
        return self._process.wait()

    def stop(self) -> int:
        """Ask it to end, insist after a grace period; its exit status (negative: the signal that ended it)."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_words(self) -> str:
        """The end of what it printed."""
        lines = self._output.read_text(errors="replace").splitlines()
        return "\n".join(lines[-SHOWN_LINES:])


def _without_kbd_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the user's own spool, state and database, which this daemon must not touch."""
    kept = {name: value for name, value in environment.items() if name not in ("KBD_SPOOL", "KBD_STATE")}
    return kept | {"KBD_DATABASE": SQLITE}
