"""How those who wait for files look again and again: soon at first, then less often."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LOOK_INTERVAL_S: Final = 1.0
"""How often somebody who waits asks whether a daemon is there at all."""
SHORTEST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.5
_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The clock and the pause between two looks; tests bring their own."""

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


REAL_TIME: Final = Rhythm()


def pause_after(waited_s: float) -> float:
    """Seconds until the next look: at most a twentieth later than need be, and never a busy loop."""
    return min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, waited_s * _SHARE))
