"""Sockets, pipes and event loops, for everything that owns some."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from kbd.daemon.executor.async_channel import channel_pair


@pytest.fixture
def on_loop():
    """Run coroutines one after another on one event loop, as a daemon does."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def open_descriptors():
    """How many descriptors this process has open now."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def pipe():
    """Both ends of a pipe; whatever of it is still open after the test is closed."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture
def pair():
    """Two connected ends, closed after the test."""
    ends = channel_pair()
    yield ends
    for end in ends:
        end.close()
