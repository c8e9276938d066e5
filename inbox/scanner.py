"""The scanner: lists the inbox and says which deliveries are whole and may be claimed.

A scan is the truth. Events (`kbd.inbox.watcher`) only say when to look, and which names arrived by a rename;
what is not renamed into place is ready once it has settled (see `kbd.inbox.sighting`).
"""

import math
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kbd.inbox.leftovers import Leftovers
from kbd.inbox.names import JOB_FOLDER_SUFFIX, MANIFEST_SUFFIXES, is_ignored, is_owner
from kbd.inbox.sighting import Finding, Sighting, Signature, Stage, examine, examine_folder
from kbd.inbox.spool import Spool

_EXAMINATION_COSTS_AT_LEAST = 4096


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something in the inbox that may be claimed; not necessarily a job.

    Attributes:
        path: where it lies.
        name: its file name (undecodable bytes as surrogates, like everywhere in `os`).
        owner: the sub-folder it lies in, None at the top.
        complete: False when it still ended too early after the whole waiting time.
    """

    path: Path
    name: str
    owner: str | None
    complete: bool


@dataclass(frozen=True, slots=True)
class ScanBounds:
    """How much the scanner reads and remembers.

    Attributes:
        manifest_bytes: larger manifests are not waited for, since intake refuses them.
        examined_bytes: how much one look may read; what is left over is due at once at the next look.
        names_per_owner: how many names of one owner are remembered; others enter as these leave.
        leftovers: how many temporary names are remembered.
        abandoned_s: how long a client's temporary file may stay unchanged before it counts as left behind.
    """

    manifest_bytes: int = 1 << 20
    examined_bytes: int = 2 << 20
    names_per_owner: int = 20_000
    leftovers: int = 10_000
    abandoned_s: float = 24 * 3600.0


@dataclass(slots=True)
class _Look:
    """One look: when it is, what it was told, what it may still read, when the next one is due."""

    number: int
    now: float
    moved: frozenset[str]
    examinable_bytes: int
    has_turned_away: bool = False
    next_at: float = math.inf

    def due_at(self, when: float) -> None:
        self.next_at = min(self.next_at, when)


class Scanner:
    """Remembers from look to look what the inbox showed. To be used by one thread at a time.

    Args:
        spool: whose inbox is watched.
        clock: our own monotonic clock, in seconds.
        settle_s: how long a file that was not renamed into place must be unchanged.
        truncated_s: how long one that ends too early may stay unchanged before it is given to intake.
        bounds: limits of memory and of work per look.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Callable[[], float] = time.monotonic,
        settle_s: float = 2.0,
        truncated_s: float = 60.0,
        *,
        bounds: ScanBounds = ScanBounds(),
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._settle_s = settle_s
        self._truncated_s = truncated_s
        self._bounds = bounds
        self._looks = 0
        self._next_at = math.inf
        self._names: dict[str | None, dict[str, Sighting]] = {}
        self._leftovers = Leftovers(bounds.abandoned_s, bounds.leftovers)
        self._unreadable: dict[str, str] = {}

    @property
    def unreadable(self) -> Mapping[str, str]:
        """What the last look could not list or stat, by path, with the reason; for the status display."""
        return self._unreadable

    def look(self, hints: Iterable[Path] = ()) -> list[Delivery]:
        """List the inbox; return all that may be claimed now, in order of first sight, then name.

        What is not claimed is returned again by the next look.

        Args:
            hints: paths that were renamed into place since the last look.

        Raises:
            SpoolMissing: the spool is not mounted.
            OSError: the inbox itself cannot be listed.
        """
        self._spool.require()
        self._looks += 1
        moved = frozenset(os.fspath(hint) for hint in hints)
        look = _Look(self._looks, self._clock(), moved, self._bounds.examined_bytes)
        self._unreadable = {}
        ready: list[tuple[int, str, str, Delivery]] = []
        for owner, entry in self._listing(look):
            sighting = self._sight(owner, entry, look)
            if sighting is not None and sighting.is_ready:
                complete = sighting.stage is Stage.READY
                delivery = Delivery(Path(entry.path), entry.name, owner, complete)
                ready.append((sighting.first_look, entry.name, owner or "", delivery))
        has_room = self._forget_unseen()
        if look.has_turned_away:
            look.due_at(look.now if has_room else look.now + self._settle_s)
        self._next_at = look.next_at
        ready.sort(key=lambda item: item[:3])
        return [item[-1] for item in ready]

    def next_look_s(self) -> float | None:
        """In how many seconds something that was seen becomes due; None: only an event can change that."""
        if math.isinf(self._next_at):
            return None
        return max(0.0, self._next_at - self._clock())

    def defer(self, delivery: Delivery, for_s: float = 30.0) -> None:
        """Do not return a delivery for a while, because it could not be claimed."""
        sighting = self._names.get(delivery.owner, {}).get(delivery.name)
        if sighting is not None:
            sighting.deferred_until = self._clock() + for_s
            self._next_at = min(self._next_at, sighting.deferred_until)

    def abandoned(self) -> list[Path]:
        """Temporary names (`.NAME.tmp`) whose writer seems to be dead; to be removed by the caller."""
        return self._leftovers.abandoned(self._clock())

    def _listing(self, look: _Look) -> Iterator[tuple[str | None, os.DirEntry[str]]]:
        """Everything at the top and one level down that is not an ignored name or an owner's folder."""
        with os.scandir(self._spool.inbox) as entries:
            for entry in entries:
                if is_ignored(entry.name):
                    self._leftovers.note(entry, look.number, look.now)
                elif is_owner(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield from ((entry.name, part) for part in self._listing_of(entry, look))
                else:
                    yield None, entry

    def _listing_of(self, folder: os.DirEntry[str], look: _Look) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    if is_ignored(entry.name):
                        self._leftovers.note(entry, look.number, look.now)
                    else:
                        yield entry
        except FileNotFoundError:
            return
        except OSError as error:
            self._unreadable[folder.path] = str(error)

    def _sight(self, owner: str | None, entry: os.DirEntry[str], look: _Look) -> Sighting | None:
        """What is known about a name after this look; None when it is gone, unknown or set aside."""
        try:
            status = entry.stat(follow_symlinks=False)
            signature = _signature(entry, status)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unreadable[entry.path] = str(error)
            return None
        sighting = self._remember(self._names.setdefault(owner, {}), entry.name, signature, look)
        if sighting is None:
            return None
        if entry.path in look.moved:
            sighting.stage = Stage.READY
        elif not sighting.is_ready:
            self._settle(sighting, entry, status, look)
        if sighting.deferred_until > look.now:
            look.due_at(sighting.deferred_until)
            return None
        return sighting

    def _remember(
        self, names: dict[str, Sighting], name: str, signature: Signature, look: _Look
    ) -> Sighting | None:
        sighting = names.get(name)
        if sighting is not None:
            sighting.note(signature, look.number, look.now)
            return sighting
        if len(names) >= self._bounds.names_per_owner:
            look.has_turned_away = True
            return None
        names[name] = sighting = Sighting(look.number, look.number, signature, look.now)
        return sighting

    def _settle(
        self, sighting: Sighting, entry: os.DirEntry[str], status: os.stat_result, look: _Look
    ) -> None:
        """Decide about a delivery that nobody announced."""
        if not self._is_worth_waiting(entry.name, status):
            sighting.stage = Stage.READY
            return
        wait_s = self._truncated_s if sighting.stage is Stage.TRUNCATED else self._settle_s
        if look.now - sighting.unchanged_since < wait_s:
            look.due_at(sighting.unchanged_since + wait_s)
        elif sighting.stage is Stage.TRUNCATED:
            sighting.stage = Stage.READY_INCOMPLETE
        elif look.examinable_bytes <= 0:
            look.due_at(look.now)
        else:
            look.examinable_bytes -= max(status.st_size, _EXAMINATION_COSTS_AT_LEAST)
            self._conclude(sighting, self._examine(entry, status, sighting.signature), look)

    def _conclude(self, sighting: Sighting, finding: Finding, look: _Look) -> None:
        if finding is Finding.WHOLE:
            sighting.stage = Stage.READY
        elif finding is Finding.TRUNCATED:
            sighting.stage = Stage.TRUNCATED
            look.due_at(sighting.unchanged_since + self._truncated_s)
        elif finding is Finding.CHANGED:
            sighting.unchanged_since = look.now
            look.due_at(look.now + self._settle_s)

    def _examine(self, entry: os.DirEntry[str], status: os.stat_result, signature: Signature) -> Finding:
        path = Path(entry.path)
        limit = self._bounds.manifest_bytes
        if stat.S_ISREG(status.st_mode) and path.suffix in MANIFEST_SUFFIXES:
            return examine(path, signature, limit_bytes=limit)
        if stat.S_ISDIR(status.st_mode) and path.suffix == JOB_FOLDER_SUFFIX:
            return examine_folder(path, limit_bytes=limit)
        return Finding.WHOLE

    def _is_worth_waiting(self, name: str, status: os.stat_result) -> bool:
        if stat.S_ISREG(status.st_mode):
            return not name.endswith(MANIFEST_SUFFIXES) or status.st_size <= self._bounds.manifest_bytes
        return stat.S_ISDIR(status.st_mode)

    def _forget_unseen(self) -> bool:
        """Drop what this look did not see; True when that was anything."""
        has_dropped = False
        self._leftovers.forget_all_but(self._looks)
        for names in self._names.values():
            for name in [name for name, seen in names.items() if seen.last_look != self._looks]:
                del names[name]
                has_dropped = True
        self._names = {owner: names for owner, names in self._names.items() if names}
        return has_dropped


def take_turns(deliveries: Sequence[Delivery], limit: int) -> list[Delivery]:
    """The first `limit` deliveries when owners take turns; each owner's own order stays.

    So a full inbox of one owner does not keep the others waiting.
    """
    queues: dict[str | None, deque[Delivery]] = {}
    for delivery in deliveries:
        queues.setdefault(delivery.owner, deque()).append(delivery)
    turns = deque(queues.values())
    chosen: list[Delivery] = []
    while turns and len(chosen) < limit:
        queue = turns.popleft()
        chosen.append(queue.popleft())
        if queue:
            turns.append(queue)
    return chosen


def _signature(entry: os.DirEntry[str], status: os.stat_result) -> Signature:
    if not stat.S_ISDIR(status.st_mode):
        return Signature.of(status)
    try:
        return Signature.of_folder(Path(entry.path), status)
    except PermissionError:
        # Intake says what is wrong with it.
        return Signature.of(status)
