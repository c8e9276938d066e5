"""Received descriptors do not survive an exec."""

import os

from kbd.daemon.executor.async_channel import channel_pair
from kbd.daemon.executor.channel import Channel
from kbd.daemon.executor.runner_protocol import FromRunner, Okay


def test_received_descriptors_do_not_survive_an_exec():
    ours, theirs = channel_pair()
    reading, writing = os.pipe()
    with ours, theirs:
        Channel(theirs, FromRunner).send(Okay(), [writing])
        _, (received,) = Channel(ours, FromRunner).receive_with_descriptors()
    inheritable = os.get_inheritable(received)
    for descriptor in (received, reading, writing):
        os.close(descriptor)
    assert not inheritable
