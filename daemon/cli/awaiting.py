"""Waiting for results: they are looked for in the outbox, so any host that mounts it can wait.

::

    outbox/ ──looked into again and again──► results, as they appear
    daemon's lock, status.json ──looked at every second──► is there anybody to wait for?
    spool, database ──looked into now and then──► is there anything to wait for?
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from kbd.daemon.cli.presence import DaemonWatch, Presence
from kbd.inbox.result_files import OutboxLooks
from kbd.inbox.rhythm import LOOK_INTERVAL_S, REAL_TIME, Rhythm, pause_after
from kbd.inbox.spool import Spool

if TYPE_CHECKING:
    from kbd.outbox.result import JobResult

START_GRACE_S: Final = 3.0
"""Without a daemon for so long, none is taken to be starting just now."""


CHECK_INTERVAL_S: Final = 5.0
"""So often it is asked whether the jobs are known at all."""
_CHECK_COSTS: Final = 0.05
"""At most this share of the time goes into asking that, since thousands of files may have to be read for it."""

FindLost = Callable[[Sequence[str]], Collection[str]]
"""Those ids that nothing seems to belong to."""


class WaitEnded(Exception):
    """Waiting was given up; `missing` are the ids without a result."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(", ".join(missing))
        self.missing = tuple(missing)


class NobodyWorks(WaitEnded):
    """No daemon works on the spool, so nothing would come."""


class JobsLost(WaitEnded):
    """Nothing belongs to these ids, or nothing does any more."""


class TimeIsUp(WaitEnded):
    """The time that the user gave is over."""


class ResultWait:
    """Waits for the results of some jobs.

    Args:
        spool: whose outbox to watch.
        job_ids: the jobs, each once.
        daemon: tells whether somebody works for them.
        timeout_s: how long to wait at most; None: as long as a daemon works.
        find_lost: finds ids that no result will come for; an id is given up that it finds twice in a row,
            since files move while they are looked for.
        rhythm: clock and pause.
    """

    def __init__(
        self,
        spool: Spool,
        job_ids: Sequence[str],
        daemon: DaemonWatch,
        *,
        timeout_s: float | None,
        find_lost: FindLost = lambda job_ids: (),
        rhythm: Rhythm = REAL_TIME,
    ) -> None:
        self._spool = spool
        self._daemon = daemon
        self._timeout_s = timeout_s
        self._rhythm = rhythm
        self._outbox = OutboxLooks(spool, rhythm.clock)
        self._next_look = 0.0
        self._find_lost = find_lost
        self._next_check = 0.0
        self._suspected: frozenset[str] = frozenset()
        self._absent_since: float | None = None
        self.missing = list(dict.fromkeys(job_ids))

    def results(self) -> Iterator["JobResult"]:
        """Each result once, as it appears.

        Raises:
            JobsLost: nothing belongs to some of them.
            NobodyWorks: some are missing, no daemon runs, and none has started in the meantime.
            TimeIsUp: some are missing and the time is over.
            UnreadableResult: an outbox file that this version cannot read.
        """
        clock = self._rhythm.clock
        started = self._next_look = clock()
        self._next_check = started + CHECK_INTERVAL_S
        while True:
            abandoned, lost = self._abandoned(), self._lost()
            yield from self._arrived()
            if not self.missing:
                return
            if given_up := [job_id for job_id in self.missing if job_id in lost]:
                raise JobsLost(given_up)
            if abandoned:
                raise NobodyWorks(self.missing)
            left_s = pause_after(clock() - started)
            if self._timeout_s is not None:
                left_s = min(left_s, started + self._timeout_s - clock())
                if left_s <= 0:
                    raise TimeIsUp(self.missing)
            self._rhythm.pause(left_s)

    def _arrived(self) -> Iterator["JobResult"]:
        from kbd.outbox.publisher import read_result

        for job_id in self._outbox.appeared(dict.fromkeys(self.missing).keys()):
            result = read_result(self._spool, job_id)
            if result is not None:
                self.missing.remove(job_id)
                yield result

    def _abandoned(self) -> bool:
        """Asked before the outbox is read: what a daemon publishes before it goes is not overlooked."""
        if self._rhythm.clock() < self._next_look:
            return False
        now = self._rhythm.clock()
        self._next_look = now + LOOK_INTERVAL_S
        if self._daemon.look().presence is not Presence.ABSENT:
            self._absent_since = None
            return False
        if self._absent_since is None:
            self._absent_since = now
        return now - self._absent_since >= START_GRACE_S

    def _lost(self) -> frozenset[str]:
        """Asked before the outbox is read, like `_abandoned`, and soon again where something seems lost."""
        began = self._rhythm.clock()
        if began < self._next_check:
            return frozenset()
        found = frozenset(self._find_lost(self.missing))
        lost, self._suspected = self._suspected & found, found
        ended = self._rhythm.clock()
        interval_s = LOOK_INTERVAL_S if found else CHECK_INTERVAL_S
        self._next_check = ended + max(interval_s, (ended - began) / _CHECK_COSTS)
        return lost
