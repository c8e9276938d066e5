"""What was claimed and cannot be read or sorted just now."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from kbd.inbox.claim import Taken
from kbd.inbox.failed_reads import READ_AGAIN_S
from kbd.inbox.names import job_name


class PutOff:
    """Keeps each of them for a while, so that many of them do not take up every round.

    Args:
        again_s: how long.
        clock: our own monotonic clock, in seconds.
    """

    def __init__(self, again_s: float = READ_AGAIN_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.again_s = again_s
        self._clock = clock
        self._waiting: deque[tuple[float, Taken]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, items: Iterable[Taken]) -> None:
        """Keep these from now on."""
        now = self._clock()
        self._waiting.extend((now, taken) for taken in items)

    def take_out(self, job_id: str) -> Taken | None:
        """The first whose file name gives it this id, whatever its time; it is not kept any more."""
        for kept in self._waiting:
            if job_name(kept[1].path.name) == job_id:
                self._waiting.remove(kept)
                return kept[1]
        return None

    def due(self) -> list[Taken]:
        """Those whose time has come; they are not kept any more."""
        until = self._clock() - self.again_s
        found: list[Taken] = []
        while self._waiting and self._waiting[0][0] <= until:
            found.append(self._waiting.popleft()[1])
        return found
