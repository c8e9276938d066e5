"""The real daemon with a judge that knows the answer, forked whenever a line of standard input asks for one.

::

    line in:   ["SPOOL", "STATE", "OUTPUT", held]
    line out:  the pid; then, where it was held, nothing until any line comes in; then its exit code

Service, clerk, spool and database are those of `kbd run --once`; only kernels are not run, and everything is
imported already, so that a death at each of some hundred system calls can be tried. A daemon ends when all is done.
One that is held does nothing until it is let go: meanwhile strace attaches itself.
"""

import asyncio
import contextlib
import importlib
import json
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from kbd.daemon import desk, running
from kbd.daemon.config import Limits, Settings
from kbd.daemon.devices import Device
from kbd.daemon.executor.local import Outcome
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.scanner import Scanner
from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.verdict import EvaluationStatus

LIMITS = Limits(max_attempts=10, retry_first_s=0.0, status_interval_s=0.5)


class QuickExecutor:
    """Every kernel passes at once."""

    isolation = None

    def __init__(self, devices, *_, **__):
        self.nursery = SimpleNamespace(environment={})
        self.compilers = SimpleNamespace(settings=SimpleNamespace(slots=1, limit_s=300.0))
        self.examiner = SimpleNamespace(changed=None)
        self.workers = [
            SimpleNamespace(
                device=device,
                judge=SimpleNamespace(device=DeviceReport(kind="cpu", name=device.name)),
                job_id=None,
                problem=None,
                ending=None,
                is_free=True,
                examination=None,
            )
            for device in devices
        ]

    async def start(self):
        await asyncio.sleep(0)

    async def stop(self):
        await asyncio.sleep(0)

    def free_workers(self):
        return [worker for worker in self.workers if worker.job_id is None]

    def isolation_of(self, worker):
        return None

    async def run(self, worker, request, *_, **__):
        await asyncio.sleep(0)
        return Outcome(Verdict(status=EvaluationStatus.PASSED), None, {}, None, None)


def run(spool, state):
    """One daemon, as long as there are jobs."""
    running.LocalExecutor = QuickExecutor
    desk.Scanner = partial(Scanner, settle_s=0.0)
    running.discover = lambda *_, **__: [Device("cpu0", "a processor", DeviceTarget(kind="cpu"))]
    settings = Settings(spool=Path(spool), state=Path(state), device="cpu", limits=LIMITS)
    running.run_daemon(settings, once=True)


def be_daemon(spool, state, output, gate):
    """The child's whole life; answers its exit code."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    if gate is not None:
        os.read(gate, 1)
    try:
        run(spool, state)
    except BaseException:  # noqa: BLE001 - the last words of a daemon, whatever they are
        traceback.print_exc()
        return 1
    return 0


def fork(spool, state, output, gate, names):
    """A daemon that ends by telling which modules it had to import."""
    known = set(sys.modules)
    if pid := os.fork():
        return pid
    code = be_daemon(spool, state, output, gate)
    sys.stdout.flush()
    os.write(names, " ".join(sorted(set(sys.modules) - known)).encode())
    os._exit(code)


def serve(asked, answers):
    """Daemons one after the other; what one has imported, the next finds imported."""
    for line in asked:
        spool, state, output, held = json.loads(line)
        gate, key = os.pipe()
        names, told = os.pipe()
        pid = fork(spool, state, output, gate if held else None, told)
        os.close(told)
        print(pid, file=answers, flush=True)
        if held:
            asked.readline()
            os.write(key, b"!")
        _, status = os.waitpid(pid, 0)
        for name in os.read(names, 1 << 16).decode().split():
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        for descriptor in (gate, key, names):
            os.close(descriptor)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
