"""What the service manager is told, by the protocol of sd_notify(3): datagrams to the socket NOTIFY_SOCKET.

::

    READY=1 … WATCHDOG=1 … RELOADING=1, READY=1 … STOPPING=1        STATUS=… whenever it changes
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import structlog

log = structlog.get_logger(__name__)

_USEC = 1_000_000


class Notifier:
    """Tells the service manager; does nothing where there is none.

    Args:
        environment: NOTIFY_SOCKET says where to, WATCHDOG_USEC how often a sign of life is expected.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of Linux' abstract sockets.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status: str | None = None
        self.watchdog_s = _watchdog_s(environment) if address else None

    def ready(self) -> None:
        """The daemon works, or works again after it read its settings."""
        self._tell("READY=1")

    def alive(self) -> None:
        """A sign of life."""
        self._tell("WATCHDOG=1")

    def reloading(self) -> None:
        """The settings are being read again; `ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def stopping(self) -> None:
        """The daemon ends."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`, sent when it is another than before."""
        if text != self._status:
            self._status = text
            self._tell(f"STATUS={' '.join(text.split())}")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
                # The loop must not wait for a manager that does not read.
                speaker.setblocking(False)
                speaker.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("the service manager was not told", action="notify_failed", reason=str(error))


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Seconds within which a sign of life is due; None: nobody waits for one (or for one of another process)."""
    text, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isascii() or not text.isdecimal() or int(text) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(text) / _USEC
