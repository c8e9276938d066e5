"""Sockets, pipes and event loops; a spool with a database; a daemon's desk."""

import asyncio
import contextlib
import gc
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from kbd.daemon.claimant import claimant
from kbd.daemon.config import Limits, Settings
from kbd.daemon.desk import open_desk, open_spool
from kbd.daemon.executor.async_channel import channel_pair
from kbd.inbox.lease import find_lease, take_lease
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
    """How many descriptors this process has open now, less those that only wait to be collected."""

    def count():
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    return count


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
def open_desk_of():
    """Open a desk as the daemon with these settings does that finds nobody else."""

    def start(settings):
        spool = open_spool(settings)
        me = claimant(settings.state, settings.limits.lease_s)
        return open_desk(settings, spool, take_lease(spool, me, find_lease(spool)))

    return start


@pytest.fixture
def restart(settings, open_desk_of):
    """Open the desk as a daemon's start does; the one before is closed as by its end."""
    opened = []

    def start():
        if opened:
            opened[-1].close()
        opened.append(open_desk_of(settings))
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


# --- a host with GPUs ------------------------------------------------------------------------------


def nvml_error(code):
    """As pynvml raises it: of the subclass for its code."""
    return pynvml.NVMLError(code)


@dataclass(eq=False)
class Instance:
    """What jobs can use; also the handle of it."""

    uuid: str
    name: str = "NVIDIA Test MIG 1g.10gb"
    pids: list = field(default_factory=list)
    used: int = 0
    card: object = None


@dataclass(eq=False)
class Gpu(Instance):
    """`instances`: None where it knows no MIG, else by index, with None for a gap."""

    name: str = "NVIDIA Test"
    instances: list | None = None
    mig_mode: int = 0
    capability: tuple | None = (9, 0)
    xids: list = field(default_factory=list)

    def __post_init__(self):
        for instance in filter(None, self.instances or []):
            instance.card = self


class FakeNvml:
    """A pynvml that raises and returns as the real one does; `refuses` holds names that raise NOT_SUPPORTED."""

    def __init__(self):
        self.gpus = []
        self.refuses = set()
        self.open = 0

    def gpu(self, uuid, **fields):
        self.gpus.append(Gpu(uuid, **fields))
        return self.gpus[-1]

    def instance(self, uuid, **fields):
        return Instance(uuid, **fields)

    def install(self, monkeypatch):
        for name in dir(type(self)):
            if name.startswith("nvml"):
                monkeypatch.setattr(pynvml, name, self._guarded(name))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def _guarded(self, name):
        def call(*arguments):
            if name in self.refuses:
                raise nvml_error(pynvml.NVML_ERROR_NOT_SUPPORTED)
            if name != "nvmlInit" and self.open == 0:
                raise nvml_error(pynvml.NVML_ERROR_UNINITIALIZED)
            return getattr(self, name)(*arguments)

        return call

    def nvmlInit(self):  # noqa: N802
        self.open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        for gpu in self.gpus:
            for handle in (gpu, *filter(None, gpu.instances or [])):
                if handle.uuid == uuid:
                    return handle
        raise nvml_error(pynvml.NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return handle.uuid

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return handle.name

    def nvmlDeviceGetCudaComputeCapability(self, handle):  # noqa: N802
        if handle.capability is None:
            raise nvml_error(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return handle.capability

    def nvmlDeviceGetMigMode(self, handle):  # noqa: N802
        if handle.instances is None:
            raise nvml_error(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [handle.mig_mode, handle.mig_mode]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):  # noqa: N802
        return len(handle.instances)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index):  # noqa: N802
        if handle.instances[index] is None:
            raise nvml_error(pynvml.NVML_ERROR_NOT_FOUND)
        return handle.instances[index]

    def nvmlDeviceIsMigDeviceHandle(self, handle):  # noqa: N802
        return pynvml.c_uint(int(handle.card is not None))

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):  # noqa: N802
        return handle.card

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=None, gpuInstanceId=0) for pid in handle.pids]

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(total=80 << 30, free=(80 << 30) - handle.used, used=handle.used)

    def nvmlEventSetCreate(self):  # noqa: N802
        return []

    def nvmlDeviceRegisterEvents(self, handle, types, events):  # noqa: N802
        assert types == pynvml.nvmlEventTypeXidCriticalError
        if handle.card is not None:
            raise nvml_error(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        events.append(handle)

    def nvmlEventSetWait(self, events, timeout_ms):  # noqa: N802
        for handle in events:
            if handle.xids:
                data = pynvml.c_nvmlEventData_t()
                data.eventType, data.eventData = pynvml.nvmlEventTypeXidCriticalError, handle.xids.pop(0)
                return data
        raise nvml_error(pynvml.NVML_ERROR_TIMEOUT)


@pytest.fixture
def host(monkeypatch):
    """A host on which NVML sees what the test puts there."""
    fake = FakeNvml()
    fake.install(monkeypatch)
    return fake
