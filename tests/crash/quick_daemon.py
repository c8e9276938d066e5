"""The real daemon with a judge that knows the answer: `python quick_daemon.py SPOOL STATE`, ends when all is done.

Service, clerk, spool and database are those of `kbd run --once`; only kernels are not run, so that a start takes a
second and a death at each of some hundred system calls can be tried.
"""

import asyncio
import sys
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


if __name__ == "__main__":
    running.LocalExecutor = QuickExecutor
    desk.Scanner = partial(Scanner, settle_s=0.0)
    running.discover = lambda *_, **__: [Device("cpu0", "a processor", DeviceTarget(kind="cpu"))]
    settings = Settings(spool=Path(sys.argv[1]), state=Path(sys.argv[2]), device="cpu", limits=LIMITS)
    running.run_daemon(settings, once=True)
