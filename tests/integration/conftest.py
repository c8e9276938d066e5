"""A nursery with the isolation of this host, and code that runs in its sandboxes as a kernel would."""

import asyncio
import itertools
import json
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from kbd.daemon.executor import kernel_calls
from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import FromNewRunner, FromRunner, Load, Loaded
from kbd.daemon.executor.sandbox.isolation import IsolationSettings
from kbd.daemon.executor.sandbox.probe import probe
from kbd.inbox.manifest import KernelCode

CPU = DeviceTarget(kind="cpu", threads=1)
LIMIT_S = 60

PRELUDE = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, time
from pathlib import Path

def tell(value):
    print("TOLD " + json.dumps(value), flush=True)

def denied(attempt, *arguments):
    try:
        attempt(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "possible"

def entry(x):
    return x
"""


@dataclass
class Attack:
    """What came of some code in a sandbox: what it told, how its process ended, what it printed."""

    told: object
    status: ExitStatus
    output: str


class Runner:
    """A sandboxed runner on which code can be run, as a kernel that is being loaded."""

    def __init__(self, ground, sandbox):
        self.ground = ground
        self.folder = ground.new_folder()
        self.process, sock = ground.do(ground.nursery.fork("runner", self.folder, CPU, sandbox))
        self.channel = Channel(sock, FromRunner)
        assert Channel(sock, FromNewRunner).receive(LIMIT_S) is not None

    def start(self, code):
        source = PRELUDE + textwrap.dedent(code)
        kernel = KernelCode(kernel_type="torch", source_code=source, metadata={"function_name": "entry"})
        self.channel.send(Load(role="candidate", kernel=kernel, init_seed=0))

    def run(self, code):
        """Have it run to its end, and leave the runner alive."""
        self.start(code)
        return self.channel.receive(LIMIT_S)

    def finish(self):
        self.channel.close()
        self.ground.do(self.process.kill())

    def attack(self):
        """After the end: everything that is known."""
        status = self.ground.do(self.process.wait())
        self.process.output.close()
        text = self.process.output.text()
        told = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("TOLD ")]
        return Attack(told[-1] if told else None, status, text)


class Ground:
    """A nursery, what the probe found, and an event loop for both."""

    def __init__(self, folder):
        self.folder = folder
        self.secret = folder / "state"
        self.secret.mkdir(mode=0o700)
        (self.secret / "kbd.db").write_text("everybody's results")
        self.work = self.secret / "work"
        self.work.mkdir(mode=0o700)
        self._loop = asyncio.Runner()
        self.nursery = NurseryClient(folder / "nursery.log")
        self.do(self.nursery.start())
        self.settings = IsolationSettings(hidden=(str(self.secret),))
        self.isolation = self.do(probe(self.nursery, CPU, self.work, self.settings))
        self._numbers = itertools.count(os.getpid())  # nobody else's, where several run these tests
        self._count = 0

    def do(self, coroutine):
        return self._loop.run(coroutine)

    def new_folder(self):
        self._count += 1
        folder = self.work / f"runner-{self._count}"
        folder.mkdir(mode=0o700)
        return folder

    def need(self, *layers):
        reasons = dict(self.isolation.absent) | dict(self.isolation.ineffective)
        for layer in layers:
            if layer not in self.isolation.in_force:
                pytest.skip(f"no {layer} here: {reasons.get(layer, 'not tried by this user')}")

    def sandbox(self, **changes):
        """The next one, with some of it changed."""
        return self.isolation.sandbox(next(self._numbers)).model_copy(update=changes)

    def runner(self, **changes):
        return Runner(self, self.sandbox(**changes))

    def tell(self, code, **changes):
        """What the code tells from inside a sandbox; it must run to its end."""
        runner = self.runner(**changes)
        answer = runner.run(code)
        runner.finish()
        attack = runner.attack()
        assert isinstance(answer, Loaded), (answer, attack.output)
        return attack.told

    def die(self, code, **changes):
        """The end of a runner whose code ends it."""
        runner = self.runner(**changes)
        with pytest.raises(PeerGone):
            runner.run(code)
        runner.channel.close()
        return runner.attack()

    def end(self):
        self.do(self.nursery.stop())
        self._loop.close()


@pytest.fixture(scope="session")
def standing(make_daemon):
    """A daemon that stays, for tests that only look at jobs of their own: the xdist group "standing"."""
    daemon = make_daemon()
    with daemon.staying():
        yield daemon


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    kernel_calls.adopt_orphans()
    ground = Ground(tmp_path_factory.mktemp("ground"))
    yield ground
    ground.end()
    kernel_calls._prctl(kernel_calls.PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def marker():
    """A number of seconds that nobody else sleeps for."""
    return f"86{os.getpid()}"


@pytest.fixture
def surviving(marker):
    """Pids of processes of this host that sleep for so long, now."""

    def look():
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if marker.encode() in words and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
        return found

    return look
