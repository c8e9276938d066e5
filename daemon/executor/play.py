"""What the runners of a job are taken for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kbd.daemon.executor.protocol import Evaluate, Progress


@dataclass(frozen=True)
class Play:
    """What is judged, for whom. `new`: by a reference's runner that has served nobody before."""

    request: Evaluate
    owner: str
    note: Callable[[Progress], None]
    archives: Sequence[int]
    new: bool = False

    def with_new_runners(self) -> Play:
        """The same, and no runner has served before."""
        return replace(self, new=True)
