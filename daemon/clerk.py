"""The clerk: the daemon's one thread for the spool and the database.

::

    event loop ──await clerk.do(verb, …)──► one thread ──► spool files, SQLite

File systems may hang and databases may wait; the event loop must not. One thread also means one writer, and an
order that can be read off the code.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Clerk:
    """Runs functions one after another in its thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clerk")

    async def do(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one function there and wait for it. What has begun is finished even if the caller is cancelled."""
        call = functools.partial(verb, *args, **kwargs)
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, call))

    def close(self) -> None:
        """Wait for what was begun."""
        self._thread.shutdown(wait=True)
