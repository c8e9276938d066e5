"""STATE/heartbeat.json: the daemon's last sign of life, for `kbd health` and other probes on its own host.

Its time is that of CLOCK_BOOTTIME, which nobody sets, and which all processes of a host share.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

NAME: Final = "heartbeat.json"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Heartbeat:
    """`beat_s`: seconds since the boot `boot`. `ready`: jobs are taken. `status`: one line for people."""

    pid: int
    boot: str
    beat_s: float
    ready: bool
    status: str

    @classmethod
    def now(cls, *, ready: bool, status: str) -> Self:
        """Of this process."""
        return cls(os.getpid(), boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME), ready, status)

    @property
    def age_s(self) -> float | None:
        """How long ago it was; None: before this host was started the last time."""
        if self.boot != boot_id():
            return None
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.beat_s


def boot_id() -> str:
    """Another one each time the host starts; empty where that cannot be known."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def write(state: Path, heartbeat: Heartbeat) -> None:
    """Replace the last one. Raises OSError."""
    temporary = state / f".{NAME}.writing"
    temporary.write_text(json.dumps(asdict(heartbeat)) + "\n")
    temporary.replace(state / NAME)


def read(state: Path) -> Heartbeat | None:
    """The last one; None where there is none, or nothing that could be one. Raises OSError."""
    try:
        found = json.loads((state / NAME).read_text())
        return Heartbeat(
            pid=int(found["pid"]),
            boot=str(found["boot"]),
            beat_s=float(found["beat_s"]),
            ready=found["ready"] is True,
            status=str(found["status"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
