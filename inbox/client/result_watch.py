"""The one thread of a client that looks for the results of all its jobs in flight.

::

    any thread ──add(job)──► jobs in flight ◄──looked for── the watch's thread ──deliver(result)──► job
                                                               └─ every second: is there a daemon?

The thread begins with the first job and ends with the last. A file system that fails is tried again for as long as
anybody waits; one that hangs holds up this thread and nobody else.
"""

import os
import shlex
import threading
import time
from typing import Final

from kbd.inbox.client.errors import ClientClosed, NoDaemon
from kbd.inbox.client.job import Job
from kbd.inbox.client.received import ReceivedResult
from kbd.inbox.daemon_signs import Presence, SnapshotWatch
from kbd.inbox.errors import InboxError
from kbd.inbox.result_files import OutboxLooks, read_published
from kbd.inbox.rhythm import LOOK_INTERVAL_S, pause_after
from kbd.inbox.spool import Spool

_CLOSED: Final = "this client was closed: make a new one, and ask it for the job by its id"


class ResultWatch:
    """Looks into one outbox for everybody.

    Args:
        spool: whose outbox.
        patience_s: without a sign of a daemon for so long, waiting ends with NoDaemon; None: never.
    """

    def __init__(self, spool: Spool, patience_s: float | None) -> None:
        self._spool = spool
        self._patience_s = patience_s
        self._outbox = OutboxLooks(spool)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._jobs: dict[str, Job] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self.trouble: str | None = None
        """Why the last look failed; None where it did not."""

    def find(self, job_id: str) -> Job | None:
        """The job in flight of this id."""
        with self._lock:
            return self._jobs.get(job_id)

    def add(self, job: Job) -> Job:
        """Look for its result from now on. Gives the job of this id that is looked for already, if there is one."""
        self.require_open()
        with self._lock:
            known = self._jobs.setdefault(job.id, job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kbd results", daemon=True)
                self._thread.start()
        self._wake.set()
        return known

    def require_open(self) -> None:
        """Raise ClientClosed where no thread of this process looks, or ever will."""
        if os.getpid() != self._pid:
            raise ClientClosed(
                "this client was made in another process, before a fork: make one in each process"
            )
        if self._closed:
            raise ClientClosed(_CLOSED)

    def close(self) -> None:
        """Stop looking. Jobs without a result fail with ClientClosed; in the spool they go on."""
        self._closed = True
        self._fail_all(ClientClosed(_CLOSED))
        self._wake.set()

    def _run(self) -> None:
        signs = SnapshotWatch(self._spool)
        active_at = seen_at = time.monotonic()
        look_at = active_at
        while wanted := self._wanted():
            self._wake.clear()
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_INTERVAL_S
                if signs.look()[0] is not Presence.ABSENT:
                    seen_at = now
            if self._deliver_arrived(wanted):
                active_at = now
            if self._patience_s is not None and now - seen_at >= self._patience_s:
                self._fail_all(self._no_daemon(now - seen_at))
            if self._wake.wait(pause_after(time.monotonic() - active_at)):
                active_at = time.monotonic()

    def _wanted(self) -> frozenset[str]:
        """The ids to look for. Where there are none the thread ends, and the next job starts another."""
        with self._lock:
            if not self._jobs:
                self._thread = None
            return frozenset(self._jobs)

    def _deliver_arrived(self, wanted: frozenset[str]) -> bool:
        """Hand over what has appeared. False where nothing had."""
        trouble = None
        delivered = 0
        try:
            appeared = self._outbox.appeared(wanted)
        except OSError as error:
            appeared, trouble = [], str(error)
        for job_id in appeared:
            try:
                delivered += self._deliver(job_id)
            except OSError as error:  # tried again at the next look; the others need not wait for it
                trouble = str(error)
        self.trouble = trouble
        return delivered > 0

    def _deliver(self, job_id: str) -> bool:
        """One result, if it can be opened. Raises OSError where the file system fails."""
        try:
            content = read_published(self._spool, job_id)
            result = None if content is None else ReceivedResult.from_json(content)
        except InboxError as error:
            if (job := self._take(job_id)) is not None:
                job.fail(error)
            return True
        if result is not None and (job := self._take(job_id)) is not None:
            job.deliver(result)
        return result is not None

    def _take(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.pop(job_id, None)

    def _fail_all(self, error: Exception) -> None:
        with self._lock:
            jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            job.fail(error)

    def _no_daemon(self, silent_s: float) -> NoDaemon:
        trouble = f" (and the outbox could not be read: {self.trouble})" if self.trouble else ""
        return NoDaemon(
            f"no sign of a daemon on {self._spool.root} for {silent_s:.0f} s{trouble}. The jobs are safe there: "
            f"start one (kbd run --spool {shlex.quote(str(self._spool.root))}), then ask for them by their ids. "
            "A client with daemon_patience=None waits for ever"
        )
