"""Whose turn it is on a device: many jobs may load and be compared at once, one at a time is timed, alone.

::

    evaluation:   shared ─────────────► exclusive ─────► shared ──► gone
                  load, correctness,    timing            the next workload
                  preparing to time

A job gives its share up before it waits for the device alone: two that kept theirs would wait for each other for
ever. While somebody waits to time, nobody new gets a share, so that timing is never starved; those who have one
are waited for.

An evaluation may also want no company at all: it begins when everybody is gone, and nobody new begins before it
is over. Those who only end what they have left on the device are let in to do so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable


class DeviceTurn:
    """One device. Who waits to time does so in line; shares go to all who wait, at once."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._shares = 0
        self._alone = False
        self._waiting: deque[object] = deque()
        self._present: set[Share] = set()
        self._solitary: deque[Share] = deque()

    @property
    def busy(self) -> bool:
        """Whether anybody has a share or the device alone."""
        return self._alone or self._shares > 0

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[Share]:
        """A share of the device, for a whole evaluation."""
        async with self._with(Share(self), lambda: not self._solitary) as share:
            yield share

    @contextlib.asynccontextmanager
    async def shared_to_end(self) -> AsyncIterator[Share]:
        """A share for one who ends what is left on the device: nobody's wish for solitude keeps it out."""
        async with self._with(Share(self), lambda: True) as share:
            yield share

    @contextlib.asynccontextmanager
    async def solitary(self) -> AsyncIterator[Share]:
        """A share for a whole evaluation, while nobody else has one."""
        share = Share(self, is_solitary=True)
        self._solitary.append(share)
        try:
            async with self._with(share, lambda: not self._present and self._solitary[0] is share):
                yield share
        finally:
            async with self._changed:
                self._solitary.remove(share)
                self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def _with(self, share: Share, is_welcome: Callable[[], bool]) -> AsyncIterator[Share]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not self._waiting and is_welcome())
            self._shares += 1
            self._present.add(share)
            if len(self._present) > 1:
                for each in self._present:
                    each.had_company = True
        try:
            yield share
        finally:
            async with self._changed:
                self._shares -= 1
                self._present.remove(share)
                self._changed.notify_all()

    async def take_alone(self) -> None:
        """Swap a share for the whole device; whoever is cancelled meanwhile has a share again."""
        place = object()
        async with self._changed:
            self._shares -= 1
            self._waiting.append(place)
            self._changed.notify_all()
            try:
                await self._changed.wait_for(
                    lambda: not self._alone and self._shares == 0 and self._waiting[0] is place
                )
            except BaseException:
                self._shares += 1
                raise
            else:
                self._alone = True
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()

    async def give_alone_back(self) -> None:
        """Swap the whole device for a share, at once."""
        async with self._changed:
            self._alone = False
            self._shares += 1
            self._changed.notify_all()


class Share:
    """What one evaluation has of a device. `had_company`: others had a share meanwhile, and with it memory."""

    def __init__(self, turn: DeviceTurn, *, is_solitary: bool = False) -> None:
        self._turn = turn
        self.is_solitary = is_solitary
        self.had_company = False

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """The whole device; afterwards a share again."""
        await self._turn.take_alone()
        try:
            yield
        finally:
            await self._turn.give_alone_back()


@contextlib.asynccontextmanager
async def untimed(
    exclusive: contextlib.AbstractAsyncContextManager[None], limit: asyncio.Timeout
) -> AsyncIterator[None]:
    """The device alone; the clock of the job stands still while it is waited for."""
    loop = asyncio.get_running_loop()
    end, asked = limit.when(), loop.time()
    limit.reschedule(None)
    async with exclusive:
        limit.reschedule(None if end is None else end + loop.time() - asked)
        yield
