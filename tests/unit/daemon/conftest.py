"""Sockets, pipes and event loops; a spool with a database; a daemon's desk."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

import pytest

from kbd.daemon.config import Limits, Settings
from kbd.daemon.desk import open_desk
from kbd.daemon.executor.async_channel import channel_pair
from kbd.inbox.spool import Spool
from kbd.store.engine import migrate, open_writer
from kbd.store.location import database_path

JOB = """
version: 1
candidate: {kernel_type: torch, source_code: "def f(x): return x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}
"""


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


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory):
    """A database without jobs, migrated once."""
    folder = tmp_path_factory.mktemp("migrated")
    engine = open_writer(folder)
    migrate(engine)
    engine.dispose()
    return database_path(folder)


@pytest.fixture
def settings(tmp_path, migrated_database):
    """Settings of a daemon whose spool and database are there and empty."""
    spool = Spool.create(tmp_path / "spool")
    state = tmp_path / "state"
    state.mkdir()
    shutil.copy(migrated_database, database_path(state))
    return Settings(spool=spool.root, state=state, limits=Limits(max_attempts=2))


@pytest.fixture
def restart(settings):
    """Open the desk as a daemon's start does; the one before is closed as by its end."""
    opened = []

    def start():
        if opened:
            opened[-1].close()
        opened.append(open_desk(settings))
        return opened[-1]

    yield start
    if opened:
        opened[-1].close()


@pytest.fixture
def desk(restart):
    return restart()


@pytest.fixture
def deliver(settings):
    """Put a job into the inbox by the safe recipe; returns the hint that the watcher would give."""

    def put(name, text=JOB, *, owner=None):
        inbox = settings.spool / "inbox"
        folder = inbox if owner is None else inbox / owner
        folder.mkdir(exist_ok=True)
        hidden = folder / f".{name}.tmp"
        hidden.write_text(text)
        return hidden.rename(folder / name)

    return put


@pytest.fixture
def queue(desk, deliver):
    """Deliver jobs and take them in; `desk` has them queued then."""

    def put(*names, text=JOB, owner=None):
        hints = [deliver(f"{name}.yaml", text, owner=owner) for name in names]
        taken = desk.take_in.round(hints)
        assert taken.queued == len(names)

    return put


@pytest.fixture
def files_in(settings):
    """Names of all files under a folder of the spool."""
    return lambda folder: sorted(path.name for path in (settings.spool / folder).rglob("*") if path.is_file())
