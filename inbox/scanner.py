"""The scanner: lists the inbox and says which deliveries are whole and may be claimed.

A scan is the truth. Events (`kbd.inbox.watcher`) only say when to look, and which names arrived by a rename;
what is not renamed into place is ready once it has settled (see `kbd.inbox.sighting`).

Listing a hundred thousand names takes much longer than claiming a batch of them. So what was ready and over the
limit is handed out by the next looks, each name looked at again, and the inbox is listed anew after a while.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kbd.inbox.leftovers import Leftovers
from kbd.inbox.names import is_ignored, is_owner
from kbd.inbox.settling import Look, Settling
from kbd.inbox.sighting import Sighting, Signature, Stage
from kbd.inbox.spool import Spool


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
        stock: how many ready names are kept for the next looks.
        listings_share: so much of the time goes into listing, where looks follow each other closely.
        listed_again_s: the stock is handed out for so long at least before the inbox is listed again.
        abandoned_s: how long a client's temporary file may stay unchanged before it counts as left behind.
    """

    manifest_bytes: int = 1 << 20
    examined_bytes: int = 2 << 20
    names_per_owner: int = 20_000
    leftovers: int = 10_000
    stock: int = 10_000
    listings_share: float = 0.1
    listed_again_s: float = 1.0
    abandoned_s: float = 24 * 3600.0


class _Candidate(NamedTuple):
    """A ready name. Sorts by arrival: first sight, then name, then owner."""

    first_look: int
    name: str
    owner_or_empty: str
    path: str
    sighting: Sighting

    def delivery(self) -> Delivery:
        complete = self.sighting.stage is Stage.READY
        return Delivery(Path(self.path), self.name, self.owner_or_empty or None, complete)


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
        self._settling = Settling(settle_s, truncated_s, bounds.manifest_bytes)
        self._bounds = bounds
        self._looks = 0
        self._next_at = math.inf
        self._names: dict[str | None, dict[str, Sighting]] = {}
        self._leftovers = Leftovers(bounds.abandoned_s, bounds.leftovers)
        self._unreadable: dict[str, str] = {}
        self._stock: deque[_Candidate] = deque()
        self._stock_until = -math.inf
        self._moved: set[str] = set()

    @property
    def unreadable(self) -> Mapping[str, str]:
        """What the last look could not list or stat, by path, with the reason; for the status display."""
        return self._unreadable

    def look(self, hints: Iterable[Path] = (), limit: int | None = None) -> list[Delivery]:
        """List the inbox; return what may be claimed now, in order of first sight, then name.

        What is not claimed is returned again by a later look.

        Args:
            hints: paths that were renamed into place since the last look.
            limit: return at most so many, owners taking turns, so that a flood of one keeps nobody waiting.

        Raises:
            SpoolMissing: the spool is not mounted.
            OSError: the inbox itself cannot be listed.
        """
        self._spool.require()
        self._moved.update(os.fspath(hint) for hint in hints)
        if self._stock and limit is not None and self._clock() < self._stock_until:
            return self._hand_out(limit)
        return self._list(limit)

    def _hand_out(self, limit: int) -> list[Delivery]:
        """The next names of the stock that are still ready. There may be more: the next look is due at once."""
        self._next_at = now = self._clock()
        look = Look(self._looks, now, frozenset(), 0)
        chosen = [self._stock.popleft() for _ in range(min(limit, len(self._stock)))]
        return [candidate.delivery() for candidate in chosen if self._is_still_ready(candidate, look)]

    def _list(self, limit: int | None) -> list[Delivery]:
        """List the whole inbox."""
        self._looks += 1
        look = Look(self._looks, self._clock(), frozenset(self._moved), self._bounds.examined_bytes)
        self._moved.clear()
        self._unreadable = {}
        ready: list[_Candidate] = []
        for owner, entry in self._listing(look):
            sighting = self._sight(owner, entry, look)
            if sighting is not None and sighting.is_ready:
                ready.append(_Candidate(sighting.first_look, entry.name, owner or "", entry.path, sighting))
        has_room = self._forget_unseen()
        if look.has_turned_away:
            look.due_at(look.now if has_room else look.now + self._settling.settle_s)
        ready.sort()
        chosen = ready if limit is None else self._stocked(ready, limit, look)
        deliveries = [candidate.delivery() for candidate in chosen if self._is_still_ready(candidate, look)]
        self._next_at = look.next_at
        return deliveries

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

    def _stocked(self, ready: Sequence[_Candidate], limit: int, look: Look) -> list[_Candidate]:
        """The first ones when owners take turns; those that follow are kept for the next looks."""
        line = _in_turns(ready, limit + self._bounds.stock)
        self._stock = deque(line[limit:])
        now = self._clock()
        kept_s = max(self._bounds.listed_again_s, (now - look.now) / self._bounds.listings_share)
        self._stock_until = now + kept_s
        return line[:limit]

    def _listing(self, look: Look) -> Iterator[tuple[str | None, os.DirEntry[str]]]:
        """Everything at the top and one level down that is not an ignored name or an owner's folder."""
        with os.scandir(self._spool.inbox) as entries:
            for entry in entries:
                if is_ignored(entry.name):
                    self._leftovers.note(entry, look.number, look.now)
                elif entry.is_dir(follow_symlinks=False) and is_owner(entry.name):
                    yield from ((entry.name, part) for part in self._listing_of(entry, look))
                else:
                    yield None, entry

    def _listing_of(self, folder: os.DirEntry[str], look: Look) -> Iterator[os.DirEntry[str]]:
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

    def _sight(self, owner: str | None, entry: os.DirEntry[str], look: Look) -> Sighting | None:
        """What is known about a name after this look; None when it is gone, unknown or set aside."""
        sighting = self._names.get(owner, {}).get(entry.name)
        if sighting is not None and sighting.is_ready and entry.path not in look.moved:
            sighting.last_look = look.number  # looked at again when it is chosen: thousands may be waiting
        else:
            sighting = self._inspect(owner, entry, look)
        if sighting is not None and sighting.deferred_until > look.now:
            look.due_at(sighting.deferred_until)
            return None
        return sighting

    def _inspect(self, owner: str | None, entry: os.DirEntry[str], look: Look) -> Sighting | None:
        try:
            status = entry.stat(follow_symlinks=False)
            signature = Signature.at(entry.path, status)
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
            self._settling.decide(sighting, entry.path, status, look)
        return sighting

    def _is_still_ready(self, candidate: _Candidate, look: Look) -> bool:
        """Whether a name that is about to be returned is what it was when it became ready."""
        sighting = candidate.sighting
        try:
            signature = Signature.at(candidate.path, os.lstat(candidate.path))
        except FileNotFoundError:
            return False
        except OSError as error:
            self._unreadable[candidate.path] = str(error)
            return False
        sighting.note(signature, look.number, look.now)
        if not sighting.is_ready:
            look.due_at(look.now + self._settling.settle_s)
        return sighting.is_ready

    def _remember(
        self, names: dict[str, Sighting], name: str, signature: Signature, look: Look
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


def _in_turns(candidates: Sequence[_Candidate], limit: int) -> list[_Candidate]:
    """The first `limit` when owners take turns; each owner's own order stays."""
    queues: dict[str, deque[_Candidate]] = {}
    for candidate in candidates:
        queues.setdefault(candidate.owner_or_empty, deque()).append(candidate)
    turns = deque(queues.values())
    chosen: list[_Candidate] = []
    while turns and len(chosen) < limit:
        queue = turns.popleft()
        chosen.append(queue.popleft())
        if queue:
            turns.append(queue)
    return chosen
