"""The daemon's end of a channel: the same frames as kbd.daemon.executor.channel, on the event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel, TypeAdapter

from kbd.daemon.executor.channel import (
    HEADER,
    TRUSTED_FRAME_BYTES,
    BadFrame,
    PeerGone,
    decode,
    encode,
    send_all,
)

CHUNK_BYTES = 1 << 20
"""What is allocated for one look, whatever length a frame claims to have."""

M = TypeVar("M")


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends; neither survives an exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


class AsyncChannel(Generic[M]):
    """One reader at a time: a `receive` that is cancelled in the middle of a frame spoils the channel."""

    def __init__(self, sock: socket.socket, incoming: TypeAdapter[M]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._incoming = incoming

    async def send(self, message: BaseModel, descriptors: Sequence[int] = ()) -> None:
        """Write one message; descriptors ride on its header. Raises PeerGone."""
        data = encode(message)
        loop = asyncio.get_running_loop()
        try:
            send_all(self._sock, data[: HEADER.size], descriptors)
            await loop.sock_sendall(self._sock, data[HEADER.size :])
        except (BrokenPipeError, ConnectionResetError, BlockingIOError) as error:
            raise PeerGone(str(error)) from None

    async def receive(self) -> M:
        """Read one message. Raises PeerGone or BadFrame."""
        (length,) = HEADER.unpack(await self._read(HEADER.size))
        if length > TRUSTED_FRAME_BYTES:
            raise BadFrame(f"frame of {length} bytes, at most {TRUSTED_FRAME_BYTES} are allowed")
        return decode(self._incoming, await self._read(length))

    def close(self) -> None:
        """Close this end."""
        self._sock.close()

    async def _read(self, count: int) -> bytes:
        loop = asyncio.get_running_loop()
        chunks = bytearray()
        while len(chunks) < count:
            try:
                chunk = await loop.sock_recv(self._sock, min(count - len(chunks), CHUNK_BYTES))
            except OSError as error:
                raise PeerGone(str(error)) from None
            if not chunk:
                raise PeerGone("the other side closed the channel")
            chunks += chunk
        return bytes(chunks)
