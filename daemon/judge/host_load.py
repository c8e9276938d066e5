"""Whether the host kept processes from running while they were timed: others wanted its cores.

What is counted is counted by the kernel for the whole host; a candidate that loads the host itself gains nothing,
since no difference is significant where the host was busy.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STALLED_SHARE: Final = 0.2
STOLEN_SHARE: Final = 0.05
IDLE_SHARE: Final = 0.2
"""Where the kernel does not count who waits: with less than this idle, somebody may have waited."""
_IDLE, _WAITING_FOR_DISK, _STOLEN, _COUNTED = 3, 4, 7, 8


@dataclass(frozen=True)
class HostLoad:
    """Counters at one moment.

    `stalled_us`: for how long some process has waited for a core (Documentation/accounting/psi.rst), or None.
    `ticks`: of all cores by what they did (proc_stat(5)), or None.
    """

    moment_s: float
    stalled_us: int | None
    ticks: tuple[int, ...] | None

    @classmethod
    def now(cls, proc: Path = Path("/proc")) -> HostLoad:
        """As the kernel counts; what it does not count is None."""
        stalled = ticks = None
        with contextlib.suppress(OSError, ValueError, IndexError):
            some = (proc / "pressure" / "cpu").read_text().splitlines()[0]
            stalled = int(some.rpartition("total=")[2])
        with contextlib.suppress(OSError, ValueError, IndexError):
            line = (proc / "stat").read_text().splitlines()[0]
            ticks = tuple(int(line.split()[1 + what]) for what in range(_COUNTED))
        return cls(time.monotonic(), stalled, ticks)

    def was_busy_since(self, before: HostLoad) -> bool:
        """Whether processes had to wait for a core, or the host's own host took cores away."""
        elapsed_us = max(self.moment_s - before.moment_s, 1e-6) * 1e6
        if self.stalled_us is not None and before.stalled_us is not None:
            stalled = (self.stalled_us - before.stalled_us) / elapsed_us > STALLED_SHARE
            return stalled or self._share_since(before, _STOLEN) > STOLEN_SHARE
        if self.ticks is None or before.ticks is None:
            return False
        idle = self._share_since(before, _IDLE) + self._share_since(before, _WAITING_FOR_DISK)
        return idle < IDLE_SHARE

    def _share_since(self, before: HostLoad, what: int) -> float:
        if self.ticks is None or before.ticks is None:
            return 0.0
        spent = [now - then for now, then in zip(self.ticks, before.ticks, strict=True)]
        return spent[what] / max(sum(spent), 1)
