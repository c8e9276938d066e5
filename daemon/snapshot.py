"""status.json: what the daemon is doing, for hosts that see the spool and nothing else."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from typing import Any

from kbd.daemon.desk import Desk
from kbd.daemon.device_states import DeviceStates, now
from kbd.daemon.executor.local import LocalExecutor
from kbd.daemon.scheduler import Scheduler
from kbd.daemon.version import kbd_version
from kbd.inbox.durable import replace_lightly
from kbd.inbox.pause import Pause

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Ending:
    """That the daemon ends, and what it still waits for.

    Attributes:
        left_s: how long running jobs may take still; None: until they, and all that is queued, are done.
        over: it waits for no job any more.
    """

    left_s: float | None = None
    over: bool = False


@dataclass(frozen=True)
class Holds:
    """Why jobs are kept waiting: somebody's pause, a drain, something that fails or is full, the daemon's end."""

    pause: Pause | None = None
    drain: Pause | None = None
    trouble: str | None = None
    ending: Ending | None = None

    def __str__(self) -> str:
        reasons = [
            f"{self.pause}" if self.pause else "",
            f"draining, {self.drain}" if self.drain else "",
            self.trouble or "",
        ]
        return "; ".join(filter(None, reasons))


class Snapshot:
    """Composes and writes the snapshot every `interval_s`; it is replaced whole, and nobody relies on it."""

    def __init__(self, executor: LocalExecutor, scheduler: Scheduler, desk: Desk, interval_s: float) -> None:
        self._executor = executor
        self._scheduler = scheduler
        self._desk = desk
        self.interval_s = interval_s
        self._devices = DeviceStates()
        self._started_at = now()
        self._due = 0.0

    @property
    def due_in_s(self) -> float:
        """Seconds until the next one is to be written."""
        return max(0.0, self._due - time.monotonic())

    def hurry(self) -> None:
        """Let the next one be written at once."""
        self._due = 0.0

    def compose(self, holds: Holds) -> dict[str, Any]:
        """What is going on, as far as the event loop knows; the queue's counts are added when writing."""
        return {
            "schema_version": SCHEMA_VERSION,
            "daemon": {
                "pid": os.getpid(),
                "host": platform.node(),
                "started_at": self._started_at,
                "updated_at": now(),
                "version": kbd_version(),
                "epoch": self._desk.lease.number,
            },
            "devices": self._devices.look(self._executor.workers),
            "isolation": self._isolation(),
            "running": [
                {
                    "id": job_id,
                    "stage": run.stage,
                    "since_s": round(time.monotonic() - run.started, 3),
                    "device": run.worker.device.key if run.worker is not None else None,
                }
                for job_id, run in self._scheduler.running.items()
            ],
            "paused": str(holds) or None,
            "pause": _plain(holds.pause),
            "drain": _plain(holds.drain),
            "ending": None if holds.ending is None else asdict(holds.ending),
        }

    def _isolation(self) -> dict[str, Any]:
        """By kind of device, once the daemon knows: how far kernels are kept from the host, and what is missing."""
        host = self._executor.isolation
        return {
            kind: {"level": isolation.level.value, "missing": list(isolation.missing)}
            for kind, isolation in (host.found.items() if host is not None else ())
        }

    def write(self, snapshot: dict[str, Any]) -> dict[str, Any]:
        """Replace the file. In the clerk's thread. Returns what it says, and counts of verdicts.

        Raises OSError, SpoolMissing and EpochLost.
        """
        self._due = time.monotonic() + self.interval_s
        with self._desk.reading() as reader:
            counts = {state.value: count for state, count in reader.counts().items()}
            verdicts = reader.status_counts()
        self._desk.lease.require()
        spool = self._desk.spool
        report = snapshot | {"queue": counts}
        # Not by way of the outbox: that it takes nothing is among what is told here.
        temporary = spool.root / ".status.json.tmp"
        replace_lightly(spool.status_file, json.dumps(report, indent=2).encode() + b"\n", temporary=temporary)
        return report | {"results": verdicts}


def _plain(pause: Pause | None) -> dict[str, Any] | None:
    return None if pause is None else pause.model_dump(exclude={"version"})
