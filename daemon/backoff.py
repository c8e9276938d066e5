"""Back-off: a job whose device or harness failed rests before it is tried again, longer each time.

Kept in memory and measured on the monotonic clock: a restart ends every rest, and a clock that is set changes
none. Resting jobs hold no worker, and nobody waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Backoff:
    """Which jobs rest, and until when.

    Args:
        first_s: the rest after the first attempt; it doubles with each further one.
        longest_s: no rest is longer.
        clock: our own monotonic clock, in seconds.
    """

    def __init__(self, first_s: float, longest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.first_s = first_s
        self.longest_s = longest_s
        self._clock = clock
        self._until: dict[str, float] = {}

    def rest(self, job_id: str, attempts: int) -> float:
        """Let a job rest after so many attempts. Returns for how many seconds."""
        seconds = min(self.longest_s, self.first_s * 2.0 ** min(max(attempts, 1) - 1, 60))
        self._until[job_id] = self._clock() + seconds
        return seconds

    def end(self, job_id: str) -> bool:
        """Let a job be tried at once. False: it did not rest."""
        return self._until.pop(job_id, None) is not None

    def resting(self) -> frozenset[str]:
        """The jobs that rest now."""
        now = self._clock()
        self._until = {job_id: until for job_id, until in self._until.items() if until > now}
        return frozenset(self._until)

    def due_in_s(self) -> float | None:
        """In how many seconds the next of them may be tried again; None: none rests.

        A rest that is over is told once, as 0, and not again: who cannot start the job now must not spin.
        """
        if not self._until:
            return None
        due_s = min(self._until.values()) - self._clock()
        self.resting()
        return max(0.0, due_s)
