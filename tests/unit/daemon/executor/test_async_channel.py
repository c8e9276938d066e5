"""The daemon's end speaks the same frames."""

import asyncio
import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.async_channel import AsyncChannel, channel_pair
from kbd.daemon.executor.channel import (
    HEADER,
    TRUSTED_FRAME_BYTES,
    BadFrame,
    Channel,
    ChannelError,
    PeerGone,
    encode,
)
from kbd.daemon.executor.protocol import FromJudge, LeaseReleased, LeaseWanted, Progress


@pytest.fixture
def channel(pair):
    return AsyncChannel(pair[0], FromJudge)


@pytest.fixture
def peer(pair):
    return Channel(pair[1], FromJudge)


def test_both_directions(channel, peer, on_loop):
    peer.send(LeaseWanted())
    assert on_loop(channel.receive()) == LeaseWanted()
    on_loop(channel.send(LeaseReleased()))
    assert peer.receive(10) == LeaseReleased()


def test_a_large_message_passes_while_the_other_side_reads(channel, peer, on_loop):
    large = Progress(stage="x", workload="y" * 4_000_000)

    async def exchange():
        reading = asyncio.create_task(asyncio.to_thread(peer.receive))
        await channel.send(large)
        return await reading

    assert on_loop(exchange()) == large


def test_a_frame_in_pieces_is_put_together(channel, pair, on_loop):
    async def exchange():
        reading = asyncio.create_task(channel.receive())
        for byte in encode(LeaseWanted()):
            pair[1].sendall(bytes([byte]))
            await asyncio.sleep(0)
        return await reading

    assert on_loop(exchange()) == LeaseWanted()


def test_descriptors_travel_with_the_message(channel, peer, pipe, on_loop):
    reading, writing = pipe
    on_loop(channel.send(LeaseWanted(), [writing]))
    message, (received,) = peer.receive_with_descriptors()
    assert message == LeaseWanted()
    os.write(received, b"!")
    os.close(received)
    assert os.read(reading, 1) == b"!"


def test_an_oversized_frame_is_refused(channel, pair, on_loop):
    pair[1].sendall(HEADER.pack(TRUSTED_FRAME_BYTES + 1))
    with pytest.raises(BadFrame):
        on_loop(channel.receive())


def test_a_closed_peer(channel, pair, on_loop):
    pair[1].close()
    with pytest.raises(PeerGone):
        on_loop(channel.receive())
    with pytest.raises(PeerGone):
        on_loop(channel.send(LeaseWanted()))


def test_a_peer_that_takes_nothing_is_gone(channel, pair, on_loop):
    with contextlib.suppress(BlockingIOError):
        while True:
            pair[0].send(b"x" * 65_536)
    with pytest.raises(PeerGone):
        on_loop(channel.send(LeaseWanted()))


def test_closing_ends_the_channel(channel, pair):
    channel.close()
    assert pair[1].recv(1) == b""


@given(st.binary(max_size=200))
def test_arbitrary_bytes_end_in_a_channel_error(data):
    async def read():
        ours, theirs = channel_pair()
        with ours, theirs:
            theirs.sendall(data)
            theirs.close()
            channel = AsyncChannel(ours, FromJudge)
            while True:
                await channel.receive()

    with pytest.raises(ChannelError):
        asyncio.run(read())
