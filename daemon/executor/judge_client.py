"""The daemon's side of one judge.

    DAEMON ──Evaluate + two runner sockets──► JUDGE ──questions──► RUNNERS
           ◄─Progress, LeaseWanted, CandidateDone, Evaluated──

The judge outlives its jobs. It is replaced when it dies, when it does not answer in time, and never otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from kbd.daemon.executor.async_channel import AsyncChannel
from kbd.daemon.executor.channel import ChannelError
from kbd.daemon.executor.nursery_client import NurseryClient, NurseryFailed
from kbd.daemon.executor.process import ChildProcess
from kbd.daemon.executor.protocol import (
    CandidateDone,
    CandidateEnded,
    DeviceTarget,
    Evaluate,
    Evaluated,
    Forget,
    Forgotten,
    FromJudge,
    JudgeReady,
    LeaseGranted,
    LeaseReleased,
    LeaseWanted,
    Probe,
    Probed,
    Progress,
)
from kbd.daemon.judge.verdict import Verdict
from kbd.outbox.circumstances import DeviceReport

log = structlog.get_logger(__name__)

START_LIMIT_S = 60.0
PROBE_LIMIT_S = 10.0
FORGET_LIMIT_S = 5.0
Exclusive: TypeAlias = Callable[[], contextlib.AbstractAsyncContextManager[None]]


class JudgeFailed(Exception):
    """The judge died, stalled or does not start: nobody's kernel is to blame."""


class JudgeClient:
    """Starts a judge for one device and hands it one job at a time."""

    def __init__(self, nursery: NurseryClient, target: DeviceTarget, folder: Path) -> None:
        self.device: DeviceReport | None = None
        self._nursery = nursery
        self._target = target
        self._folder = folder
        self._process: ChildProcess | None = None
        self._channel: AsyncChannel[Any] | None = None

    @property
    def pid(self) -> int | None:
        """The judge's process, while there is one."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Have a live judge. Raises JudgeFailed or NurseryFailed."""
        if self._process is not None and self._process.alive:
            return
        await self.discard()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process, ours = await self._nursery.fork("judge", self._folder, self._target)
        self._channel = AsyncChannel(ours, FromJudge)
        try:
            async with asyncio.timeout(START_LIMIT_S):
                ready = await self._channel.receive()
        except (ChannelError, TimeoutError) as error:
            raise JudgeFailed(f"the judge did not start: {error}\n{await self.discard()}") from None
        except BaseException:  # cancelled: its first word would be taken for the answer to the next question
            await self.discard()
            raise
        assert isinstance(ready, JudgeReady)
        self.device = ready.device
        log.info("judge ready", action="judge_ready", pid=self.pid, device=self.device.name)

    async def evaluate(
        self,
        request: Evaluate,
        candidate: socket.socket,
        reference: socket.socket | None,
        on_progress: Callable[[Progress], None],
        exclusive: Exclusive,
        end_candidate: Callable[[], Awaitable[object]],
        archives: Sequence[int] = (),
    ) -> Verdict:
        """The judge's verdict; `archives` are the descriptors that the request announces.

        `end_candidate` is awaited when nothing more is asked of the candidate and something is of the reference.

        Raises JudgeFailed when there is none; then the judge is gone as well.
        """
        assert self._channel is not None
        sockets = [sock.fileno() for sock in (candidate, reference) if sock is not None]
        try:
            async with contextlib.AsyncExitStack() as lease:
                await self._channel.send(request, [*sockets, *archives])
                return await self._converse(on_progress, exclusive, end_candidate, lease)
        except ChannelError as error:
            raise JudgeFailed(f"the judge died: {error}\n{await self.discard()}") from None
        except BaseException:  # cancelled in the middle of a conversation: it cannot be resumed
            await self.discard()
            raise

    async def probe(self) -> str | None:
        """What is wrong with the device, or None. A judge that cannot answer is gone afterwards."""
        try:
            await self.start()
            assert self._channel is not None
            async with asyncio.timeout(PROBE_LIMIT_S):
                await self._channel.send(Probe())
                probed = await self._channel.receive()
        except (ChannelError, TimeoutError, JudgeFailed, NurseryFailed, OSError) as error:
            await self.discard()
            return f"no answer from the device: {type(error).__name__}: {error}"
        except BaseException:
            await self.discard()
            raise
        assert isinstance(probed, Probed)
        return probed.problem

    async def forget_job(self) -> bool:
        """Whether the last job's reference has forgotten it and may serve another; the candidate is dead."""
        if self._channel is None:
            return False
        try:
            async with asyncio.timeout(FORGET_LIMIT_S):
                await self._channel.send(Forget())
                answer = await self._channel.receive()
        except (ChannelError, TimeoutError):
            await self.discard()
            return False
        except BaseException:
            await self.discard()
            raise
        assert isinstance(answer, Forgotten)
        return answer.done

    async def _converse(
        self,
        on_progress: Callable[[Progress], None],
        exclusive: Exclusive,
        end_candidate: Callable[[], Awaitable[object]],
        lease: contextlib.AsyncExitStack,
    ) -> Verdict:
        assert self._channel is not None
        while True:
            match await self._channel.receive():
                case Progress() as progress:
                    on_progress(progress)
                case LeaseWanted():
                    await lease.enter_async_context(exclusive())
                    await self._channel.send(LeaseGranted())
                case LeaseReleased():
                    await lease.aclose()
                case CandidateDone():
                    await end_candidate()
                    await self._channel.send(CandidateEnded())
                case Evaluated() as evaluated:
                    return evaluated.verdict

    async def discard(self) -> str:
        """Kill it; returns the end of what it printed."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is None:
            return ""
        process, self._process = self._process, None
        await process.kill()
        return process.output.text()[-2000:] if process.output is not None else ""
