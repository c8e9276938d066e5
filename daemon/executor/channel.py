"""Frames over a Unix stream socket: four bytes of length, then JSON.

Reading never allocates more than the limit, never waits past the deadline, and drops descriptors unless the
caller asked for them (a descriptor that nobody asked for is closed by the kernel).

    ChannelError
    ├── PeerGone        the other side closed its end or died
    ├── PeerSilent      no whole frame arrived before the deadline
    └── BadFrame        too long, not JSON, or not one of the messages allowed here
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

HEADER = struct.Struct("!I")
TRUSTED_FRAME_BYTES = 32 << 20
RUNNER_FRAME_BYTES = 1 << 20
MAX_DESCRIPTORS = 4

M = TypeVar("M")


class ChannelError(Exception):
    """Nothing more can be read from this channel."""


class PeerGone(ChannelError):
    """The other side closed its end or died."""


class PeerSilent(ChannelError):
    """No whole frame arrived before the deadline."""


class BadFrame(ChannelError):
    """What arrived is not a message that is allowed here."""


def encode(message: BaseModel) -> bytes:
    """One frame, ready to be written."""
    body = message.model_dump_json().encode()
    return HEADER.pack(len(body)) + body


def decode(adapter: TypeAdapter[M], body: bytes) -> M:
    """The message in a frame's body; raises BadFrame."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadFrame(f"frame does not follow the protocol: {first['msg']} at {first['loc']}") from None


def send_all(sock: socket.socket, data: bytes, descriptors: Sequence[int] = ()) -> None:
    """Write a frame; the descriptors ride on its first byte. Raises PeerGone."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        sent = sock.sendmsg([data], ancillary)
        if sent < len(data):
            sock.sendall(data[sent:])
    except (BrokenPipeError, ConnectionResetError, TimeoutError) as error:
        raise PeerGone(str(error)) from None


class Channel(Generic[M]):
    """The blocking end used by nursery, judge and runner.

    Waiting for a frame starts with `spin_s` of asking again and again: a process that sleeps takes a while to
    wake up (measured in a virtual machine: a quarter of a millisecond), and bursts should not contain that.

    `arrived_ns` is the performance counter when the latest frame's header was in hand: the judge's stopwatch
    must not include reading and checking the rest.
    """

    def __init__(
        self, sock: socket.socket, incoming: TypeAdapter[M], limit: int = TRUSTED_FRAME_BYTES
    ) -> None:
        self.sock = sock
        self.arrived_ns = 0
        self.spin_s = 0.0
        self._incoming = incoming
        self._limit = limit
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def send(
        self, message: BaseModel, descriptors: Sequence[int] = (), timeout_s: float | None = None
    ) -> None:
        """Write one message. Raises PeerGone, also when the other side does not read in time."""
        self.sock.settimeout(timeout_s)
        send_all(self.sock, encode(message), descriptors)

    def receive(self, timeout_s: float | None = None) -> M:
        """Read one message; descriptors that came along are refused by the kernel."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._spin()
        header = self._read(HEADER.size, deadline)
        self.arrived_ns = time.perf_counter_ns()
        return self._finish(header, deadline)

    def receive_with_descriptors(self) -> tuple[M, list[int]]:
        """Read one message from a trusted peer together with its descriptors."""
        self._spin()
        self.sock.settimeout(None)
        try:
            header, descriptors, _, _ = socket.recv_fds(
                self.sock, HEADER.size, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError as error:
            raise PeerGone(str(error)) from None
        for descriptor in descriptors:  # Python 3.11 does not pass the flag on
            os.set_inheritable(descriptor, False)
        if not header:
            raise PeerGone("the other side closed the channel")
        header += self._read(HEADER.size - len(header), None)
        return self._finish(header, None), descriptors

    @property
    def readable(self) -> bool:
        """Whether something can be read now: a frame, or the news that the other side is gone."""
        # Not recv with MSG_DONTWAIT: on a socket with a timeout Python itself waits before it asks.
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close this end."""
        self.sock.close()

    def _finish(self, header: bytes, deadline: float | None) -> M:
        (length,) = HEADER.unpack(header)
        if length > self._limit:
            raise BadFrame(f"frame of {length} bytes, at most {self._limit} are allowed")
        return decode(self._incoming, self._read(length, deadline))

    def _spin(self) -> None:
        """Return as soon as something can be read, or after `spin_s`."""
        give_up = time.perf_counter() + self.spin_s
        while time.perf_counter() < give_up:
            if self.readable:
                return

    def _read(self, count: int, deadline: float | None) -> bytes:
        chunks: list[bytes] = []
        while count:
            chunk = self._read_some(count, deadline)
            chunks.append(chunk)
            count -= len(chunk)
        return b"".join(chunks)

    def _read_some(self, count: int, deadline: float | None) -> bytes:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise PeerSilent("no answer before the deadline")
            self.sock.settimeout(left)
        else:
            self.sock.settimeout(None)
        try:
            chunk = self.sock.recv(min(count, 1 << 20))
        except TimeoutError:
            raise PeerSilent("no answer before the deadline") from None
        except ConnectionResetError as error:
            raise PeerGone(str(error)) from None
        if not chunk:
            raise PeerGone("the other side closed the channel")
        return chunk
