"""On which core each thread of torch's pool computes.

::

    the pool's threads    one core each, for good
    the main thread       put on the first core before every burst, and free to go elsewhere

Linux likes to let a thread run where it ran last. Two threads of a pool that have once met on one core stay
together for as long as their process lives, and a kernel takes up to 1.8 times as long there as in another process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Final, Self

OWN_TASKS: Final = "/proc/self/task"


class CorePlacing:
    """Places the threads of this process on these `cores`. A host that forbids it leaves them where they are."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._first, *self._others = cores
        self._all = frozenset(cores)
        self._known = _tasks()

    @classmethod
    def here(cls) -> Self:
        """On the cores that this thread may use now."""
        return cls(sorted(os.sched_getaffinity(0)))

    def place_pool(self) -> None:
        """Give each thread that has begun since this was made a core of its own, as far as they go round."""
        with contextlib.suppress(OSError):
            for task, core in zip(sorted(_tasks() - self._known), self._others, strict=False):
                os.sched_setaffinity(task, {core})

    def place_main(self) -> None:
        """Put this thread on the first core; it is not held there, nor are threads that it begins."""
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {self._first})
            os.sched_setaffinity(0, self._all)


def _tasks() -> set[int]:
    """The threads of this process; none where nobody tells."""
    try:
        return set(map(int, os.listdir(OWN_TASKS)))
    except OSError:
        return set()
