"""One daemon per state folder on this host: an flock that the kernel gives back when the daemon dies."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from pathlib import Path
from typing import Any

# A status command that looks at the lock holds it for an instant.
PATIENCE_S = 0.5


class AlreadyRunning(Exception):
    """Another daemon of this host holds the state folder."""


class StateLock:
    """Holds `daemon.lock`; `daemon.json` beside it says who holds it, and whether it only waits as a standby.

    Attributes:
        after_crash: the one before did not release it.
    """

    def __init__(self, path: Path) -> None:
        # Imported here: those who only look, such as `kbd status`, need not wait for it.
        from filelock import FileLock

        self._lock = FileLock(path, timeout=PATIENCE_S)
        self._about = path.with_suffix(".json")
        self._said: dict[str, Any] = {}
        self.after_crash = False

    def acquire(self, about: dict[str, Any]) -> None:
        """Take it, or raise AlreadyRunning naming the process that has it."""
        from filelock import Timeout

        self._about.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise AlreadyRunning(
                f"a daemon with process id {_pid_in(self._about)} uses {self._about.parent} already; "
                "stop it first, or give this one another --state"
            ) from None
        self.after_crash = self._about.exists()
        self.say(about)

    def say(self, about: dict[str, Any]) -> None:
        """Add to what others read about the holder."""
        self._said |= about
        self._about.write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), **self._said}))

    def release(self) -> None:
        """Let the next daemon in."""
        self._about.unlink(missing_ok=True)
        self._lock.release()


def running_daemon(state: Path) -> dict[str, Any] | None:
    """What the daemon of this state folder says about itself, or None when none runs."""
    path = state / "daemon.lock"
    try:
        probe = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who look do not take each other for a daemon.
        fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path.with_suffix(".json")) or {"pid": None}
    finally:
        os.close(probe)
    return None


def _pid_in(path: Path) -> object:
    return (_read(path) or {}).get("pid", "unknown")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
