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

import structlog

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Clerk:
    """Runs functions one after another in its thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clerk")

    async def do(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one function there and wait for it. What has begun is finished even if the caller is cancelled."""
        call = functools.partial(verb, *args, **kwargs)
        future = asyncio.get_running_loop().run_in_executor(self._thread, call)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_tell_failure)
            raise

    def close(self) -> None:
        """Wait for what was begun."""
        self._thread.shutdown(wait=True)


def _tell_failure(future: asyncio.Future[T]) -> None:
    """Nobody waits for it any more; without a word asyncio would tell it with a traceback."""
    if not future.cancelled() and (error := future.exception()) is not None:
        log.warning("failed, and nobody waits for it", action="unheard_failure", reason=str(error))
