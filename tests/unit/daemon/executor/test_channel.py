"""Frames: whatever bytes arrive, reading ends with a message or with one of three errors."""

import itertools
import json
import os
import socket
import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from kbd.daemon.executor.async_channel import channel_pair
from kbd.daemon.executor.channel import (
    HEADER,
    RUNNER_FRAME_BYTES,
    BadFrame,
    Channel,
    ChannelError,
    PeerGone,
    PeerSilent,
    decode,
    encode,
)
from kbd.daemon.executor.runner_protocol import Done, FromRunner, Okay

FRAME = encode(Done(claimed_us=1.5))


class Text(BaseModel):
    """A message of any size."""

    text: str


@pytest.fixture
def reader(pair):
    return Channel(pair[0], FromRunner, RUNNER_FRAME_BYTES)


@pytest.fixture
def writer(pair):
    return pair[1]


def read_all(data):
    """What a reader gets out of these bytes and the close that follows them."""
    ours, theirs = channel_pair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.close()
        channel = Channel(ours, FromRunner, RUNNER_FRAME_BYTES)
        messages = []
        while True:
            try:
                messages.append(channel.receive(timeout_s=10))
            except ChannelError as error:
                return messages, error


@given(st.binary(max_size=300))
def test_arbitrary_bytes_end_in_a_channel_error(data):
    messages, error = read_all(data)
    assert type(error) in (PeerGone, BadFrame)
    assert len(messages) <= len(data) // HEADER.size


@given(st.binary(max_size=300))
def test_an_arbitrary_body_in_a_sound_frame_is_a_message_or_a_bad_frame(body):
    messages, error = read_all(HEADER.pack(len(body)) + body)
    assert (len(messages), type(error)) in [(1, PeerGone), (0, BadFrame)]


@given(st.integers(0, len(FRAME) - 1))
def test_a_frame_that_breaks_off_is_a_peer_gone(kept):
    messages, error = read_all(FRAME + FRAME[:kept])
    assert messages == [Done(claimed_us=1.5)]
    assert type(error) is PeerGone


@pytest.mark.parametrize("kept", [0, 1, HEADER.size, len(FRAME) - 1])
def test_an_unfinished_frame_is_a_silence(reader, writer, kept):
    writer.sendall(FRAME[:kept])
    with pytest.raises(PeerSilent, match="deadline"):
        reader.receive(timeout_s=0.01)


def test_a_trickle_of_bytes_does_not_extend_the_deadline(reader, writer, monkeypatch):
    seconds = itertools.count()
    clock = SimpleNamespace(
        monotonic=lambda: next(seconds), perf_counter=lambda: 0.0, perf_counter_ns=lambda: 0
    )
    monkeypatch.setattr("kbd.daemon.executor.channel.time", clock)
    trickle = SimpleNamespace(settimeout=lambda _: None, recv=lambda _: b"\0")
    reader.sock = trickle
    with pytest.raises(PeerSilent):
        reader.receive(timeout_s=3)
    assert next(seconds) < 10


def test_an_announced_length_over_the_limit_is_refused_before_it_is_read(reader, writer):
    writer.sendall(HEADER.pack(RUNNER_FRAME_BYTES + 1) + b"rest")
    with pytest.raises(BadFrame, match=str(RUNNER_FRAME_BYTES)):
        reader.receive(timeout_s=10)
    assert reader.sock.recv(10) == b"rest"


def test_a_frame_of_exactly_the_limit_is_read(pair):
    message = Text(text="x" * 100)
    limit = len(encode(message)) - HEADER.size
    pair[1].sendall(encode(message))
    assert Channel(pair[0], TypeAdapter(Text), limit).receive(10) == message
    pair[1].sendall(encode(message))
    with pytest.raises(BadFrame):
        Channel(pair[0], TypeAdapter(Text), limit - 1).receive(10)


def test_descriptors_that_nobody_asked_for_are_closed(reader, writer, pipe, open_descriptors):
    reading, writing = pipe
    Channel(writer, FromRunner).send(Okay(), [writing])
    os.close(writing)
    before = open_descriptors()
    assert reader.receive(timeout_s=10) == Okay()
    assert open_descriptors() == before
    assert os.read(reading, 1) == b"", "somebody still holds the writing end"


def test_descriptors_reach_a_reader_who_asks_for_them(reader, writer, pipe):
    reading, writing = pipe
    Channel(writer, FromRunner).send(Okay(), [writing])
    message, descriptors = reader.receive_with_descriptors()
    (received,) = descriptors
    try:
        assert message == Okay()
        os.write(received, b"!")
        assert os.read(reading, 1) == b"!"
    finally:
        os.close(received)


def test_asking_for_descriptors_needs_none(reader, writer):
    writer.sendall(FRAME)
    assert reader.receive_with_descriptors() == (Done(claimed_us=1.5), [])


def test_asking_for_descriptors_of_a_closed_channel(reader, writer):
    writer.close()
    with pytest.raises(PeerGone):
        reader.receive_with_descriptors()


@pytest.mark.parametrize("receive", ["receive", "receive_with_descriptors"])
def test_a_peer_that_went_without_reading_is_gone(reader, writer, receive):
    reader.send(Okay())
    writer.close()
    with pytest.raises(PeerGone):
        getattr(reader, receive)()


def test_sending_to_nobody(reader, writer):
    writer.close()
    with pytest.raises(PeerGone):
        reader.send(Okay())


def test_sending_to_a_peer_that_does_not_read(pair):
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with pytest.raises(PeerGone):
        Channel(pair[0], FromRunner).send(Text(text="x" * 10_000_000), timeout_s=0.01)


def test_messages_keep_their_order_and_borders(reader, writer):
    sent = [Done(claimed_us=number) for number in range(50)]
    writer.sendall(b"".join(map(encode, sent)))
    assert [reader.receive(10) for _ in sent] == sent


def test_arrival_is_noted_with_the_header(reader, writer, monkeypatch):
    ticks = itertools.count(1)
    clock = SimpleNamespace(
        monotonic=lambda: 0.0, perf_counter=lambda: 0.0, perf_counter_ns=lambda: next(ticks)
    )
    monkeypatch.setattr("kbd.daemon.executor.channel.time", clock)
    writer.sendall(HEADER.pack(3) + b"{}!")
    with pytest.raises(BadFrame):
        reader.receive(timeout_s=10)
    assert reader.arrived_ns == 1, "the stopwatch stops before the body is read and judged"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"kind": "okay"} trailing',
        b'{"kind": "okay", "surplus": 1}',
        b'{"kind": "ready", "environment": {}}',
        b'{"kind": "done", "claimed_us": NaN}',
        b'{"kind": "done", "claimed_us": Infinity}',
        b'{"kind": "done", "claimed_us": -1}',
        b'{"kind": "made", "values": {"tree": "\\ud800"}}',
        b'{"kind": "made", "values": {"tree": ' + b"9" * 5000 + b"}}",
        b'{"kind": "made", "values": {"tree": ' + b"[" * 100_000,
        json.dumps({"kind": "x" * 100_000}).encode(),
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
def test_what_is_no_message_is_a_bad_frame(body):
    with pytest.raises(BadFrame, match="protocol"):
        decode(FromRunner, body)


def test_the_header_is_four_bytes_big_endian():
    body = b'{"nonce":0,"kind":"okay"}'
    assert encode(Okay()) == struct.pack(">I", len(body)) + body


def test_looking_for_news_never_waits(reader, writer):
    assert not reader.readable
    with pytest.raises(PeerSilent):
        reader.receive(0.05)
    reader.sock.settimeout(3600)  # recv with MSG_DONTWAIT would wait for as long
    for _ in range(100):
        assert not reader.readable
    writer.sendall(FRAME[:1])
    assert reader.readable


def test_a_peer_that_is_gone_is_news(reader, writer):
    writer.close()
    assert reader.readable
