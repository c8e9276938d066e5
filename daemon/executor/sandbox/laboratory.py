"""Where sandboxes are tried out: children that examine theirs, and what of the host they must not get at.

::

    DAEMON ──fork──► EXAMINEE in a sandbox ──tries──► other folders, sockets, processes     (the prey)
       └────fork──► LENDER without one ──device memory──► EXAMINEE                   (on CUDA)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kbd.daemon.executor.async_channel import AsyncChannel
from kbd.daemon.executor.channel import ChannelError
from kbd.daemon.executor.nursery_client import NurseryClient, NurseryFailed
from kbd.daemon.executor.process import ChildProcess
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.sandbox.denials import KILLING_INIT, Prey
from kbd.daemon.executor.sandbox.examination import Examine, Examined, FromExaminee, Lend, Lent, Provoke
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.executor.sandbox.refusal import LayerRefused

ANSWER_LIMIT_S: Final = 60.0


@dataclass(frozen=True)
class Finding:
    """What one child found: a layer that was refused, or what does not work and what was not denied."""

    refused: LayerRefused | None = None
    faults: dict[str, str] = field(default_factory=dict)
    breaches: dict[str, str] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether a kernel could run there."""
        return self.refused is None and not self.faults


@dataclass(frozen=True)
class Laboratory:
    """Everything that a trial needs. `handle`: device memory lent by a child without a sandbox."""

    nursery: NurseryClient
    device: DeviceTarget
    folder: Path
    prey: Prey
    handle: str | None = None

    async def observe(self, sandbox: Sandbox) -> Finding:
        """Have a child examine this sandbox. Raises NurseryFailed if it is not the sandbox that fails."""
        try:
            async with _child(self.nursery, self.device, self.folder / "own", sandbox) as (process, channel):
                try:
                    return await self._converse(channel, sandbox)
                except (ChannelError, TimeoutError):
                    return await _post_mortem(process)
        except NurseryFailed as error:
            if error.refused is None:
                raise
            return Finding(refused=error.refused)

    async def _converse(self, channel: AsyncChannel[Any], sandbox: Sandbox) -> Finding:
        request = Examine(prey=self.prey, cuda=self.device.kind == "cuda", handle=self.handle)
        examined = await _ask(channel, request)
        assert isinstance(examined, Examined)
        breaches = dict(examined.breaches)
        if sandbox.has(Layer.PID):
            try:
                await _ask(channel, Provoke())
            except ChannelError:
                breaches[KILLING_INIT] = "PID 1 can be killed from inside"
        return Finding(faults=examined.faults, breaches=breaches)


@contextlib.asynccontextmanager
async def laboratory(
    nursery: NurseryClient, device: DeviceTarget, work_folder: Path, secret: tuple[str, ...]
) -> AsyncIterator[Laboratory]:
    """A laboratory with prey laid out; all of it is taken away afterwards. Raises NurseryFailed."""
    folder = work_folder / "probe"
    other = folder / "other"
    other.mkdir(parents=True)
    try:
        async with contextlib.AsyncExitStack() as held:
            port, name = held.enter_context(_open_sockets())
            prey = Prey(
                pids=tuple(pid for pid in (os.getpid(), nursery.pid) if pid is not None),
                folders=(*secret, str(other)),
                port=port,
                abstract_socket=name,
            )
            handle = None
            if device.kind == "cuda":
                handle = await held.enter_async_context(_lent_memory(nursery, device, folder / "lender"))
            yield Laboratory(nursery, device, folder, prey, handle)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _open_sockets() -> Iterator[tuple[int, str]]:
    """A TCP port of the host's loopback and an abstract socket, both listening."""
    name = f"kbd-probe-{os.getpid()}"
    with socket.socket(socket.AF_INET) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        abstract.bind("\0" + name)
        abstract.listen()
        yield tcp.getsockname()[1], name


@contextlib.asynccontextmanager
async def _lent_memory(nursery: NurseryClient, device: DeviceTarget, folder: Path) -> AsyncIterator[str]:
    """The judge lends device memory to runners, so a sandbox must let them open it."""
    async with _child(nursery, device, folder, None) as (process, channel):
        try:
            lent = await _ask(channel, Lend())
        except (ChannelError, TimeoutError):
            finding = await _post_mortem(process)
            raise NurseryFailed(f"the device does not work: {finding.faults}") from None
        assert isinstance(lent, Lent)
        yield lent.handle


@contextlib.asynccontextmanager
async def _child(
    nursery: NurseryClient, device: DeviceTarget, folder: Path, sandbox: Sandbox | None
) -> AsyncIterator[tuple[ChildProcess, AsyncChannel[Any]]]:
    folder.mkdir(mode=0o700)
    try:
        process, sock = await nursery.fork("examinee", folder, device, sandbox)
        channel = AsyncChannel(sock, FromExaminee)
        try:
            yield process, channel
        finally:
            channel.close()
            await process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _ask(channel: AsyncChannel[Any], message: Examine | Provoke | Lend) -> Any:
    async with asyncio.timeout(ANSWER_LIMIT_S):
        await channel.send(message)
        return await channel.receive()


async def _post_mortem(process: ChildProcess) -> Finding:
    """Why a child ended without an answer."""
    status = await process.kill()
    if process.refused is not None:
        return Finding(refused=process.refused)
    said = process.output.text().strip().splitlines() if process.output is not None else []
    return Finding(faults={"starting": f"{said[-1]} ({status})" if said else str(status)})
