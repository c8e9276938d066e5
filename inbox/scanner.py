"""The scanner: lists the inbox and says which deliveries are whole and may be claimed.

A scan is the truth. Events (`kbd.inbox.watcher`) only say when to look, and which names arrived by a rename;
what is not renamed into place is ready once it has settled (see `kbd.inbox.sighting`).

Listing a hundred thousand names takes much longer than claiming a batch of them. So what was over the limit is
handed out by the next looks, and the inbox is listed anew after a while. Each name is looked at again when it is
handed out, and what has settled is opened only then.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kbd.inbox.leftovers import Leftovers
from kbd.inbox.names import is_ignored, is_owner
from kbd.inbox.scan_bounds import USUAL_BOUNDS, ScanBounds
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
        signature: what it was when it was chosen; None: not known.
    """

    path: Path
    name: str
    owner: str | None
    complete: bool
    signature: Signature | None = field(default=None, compare=False)


class _Candidate(NamedTuple):
    """A ready name. Sorts by arrival: first sight, then name, then owner."""

    first_look: int
    name: str
    owner_or_empty: str
    path: str
    sighting: Sighting

    def delivery(self) -> Delivery:
        complete = self.sighting.stage is Stage.READY
        owner, signature = self.owner_or_empty or None, self.sighting.signature
        return Delivery(Path(self.path), self.name, owner, complete, signature)


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
        bounds: ScanBounds = USUAL_BOUNDS,
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
        if not self._stock or limit is None or self._clock() >= self._stock_until:
            return self._list(limit)
        look = Look(self._looks, self._clock(), frozenset(), self._bounds.examined_bytes)
        self._next_at = look.now  # there may be more
        return self._hand_out(limit, look)

    def _hand_out(self, limit: int, look: Look) -> list[Delivery]:
        """The next names of the stock that are ready still, or now that they are opened."""
        found: list[Delivery] = []
        while self._stock and len(found) < limit and look.examinable_bytes > 0:
            candidate = self._stock.popleft()
            if self._is_still_ready(candidate, look):
                found.append(candidate.delivery())
        return found

    def _list(self, limit: int | None) -> list[Delivery]:
        """List the whole inbox."""
        self._looks += 1
        look = Look(self._looks, self._clock(), frozenset(self._moved), self._bounds.examined_bytes)
        self._unreadable = {}
        candidates: list[_Candidate] = []
        for owner, entry in self._listing(look):
            sighting = self._sight(owner, entry, look)
            if sighting is not None and sighting.may_be_chosen:
                place = sighting.first_look, entry.name, owner or ""
                candidates.append(_Candidate(*place, entry.path, sighting))
        # Not before, and not of a folder whose listing failed: it is listed again.
        self._moved = {path for path in self._moved if os.path.dirname(path) in self._unreadable}
        has_room = self._forget_unseen()
        if look.has_turned_away:
            look.due_at(look.now if has_room else look.now + self._settling.settle_s)
        candidates.sort()
        self._keep(candidates if limit is None else _in_turns(candidates, limit + self._bounds.stock), look)
        deliveries = self._hand_out(len(candidates) if limit is None else limit, look)
        if self._stock:
            look.due_at(look.now)
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

    def _keep(self, line: Iterable[_Candidate], look: Look) -> None:
        """For this look and the next ones."""
        self._stock = deque(line)
        now = self._clock()
        kept_s = max(self._bounds.listed_again_s, (now - look.now) / self._bounds.listings_share)
        self._stock_until = now + kept_s

    def _listing(self, look: Look) -> Iterator[tuple[str | None, os.DirEntry[str]]]:
        """Everything at the top and one level down that is not an ignored name or an owner's folder."""
        with os.scandir(self._spool.inbox) as entries:
            for entry in entries:
                if is_ignored(entry.name):
                    self._leftovers.note(entry, look.number, look.now)
                elif is_owner(entry.name) and self._is_folder(entry):
                    yield from ((entry.name, part) for part in self._listing_of(entry, look))
                else:
                    yield None, entry

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        """Where listing does not tell types, each is asked for; one that cannot be told is no folder."""
        try:
            return entry.is_dir(follow_symlinks=False)
        except OSError as error:
            self._unreadable[entry.path] = str(error)
            return False

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
        if sighting is not None and sighting.may_be_chosen and entry.path not in look.moved:
            sighting.last_look = look.number  # looked at again when it is chosen: thousands may be waiting
        else:
            sighting = self._inspect(owner, entry, look)
        if sighting is not None and sighting.deferred_until > look.now:
            look.due_at(sighting.deferred_until)
            return None
        return sighting

    def _inspect(self, owner: str | None, entry: os.DirEntry[str], look: Look) -> Sighting | None:
        names = self._names.setdefault(owner, {})
        if entry.name not in names and len(names) >= self._bounds.names_per_owner:
            look.has_turned_away = True
            return None
        try:
            status = entry.stat(follow_symlinks=False)
            signature = Signature.at(entry.path, status)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unreadable[entry.path] = str(error)
            return None
        sighting = names.get(entry.name)
        if sighting is None:
            names[entry.name] = sighting = Sighting(look.number, look.number, signature, look.now)
        else:
            sighting.note(signature, look.number, look.now)
        if entry.path in look.moved:
            sighting.stage = Stage.READY
        elif not sighting.may_be_chosen:
            self._settling.decide(sighting, entry.path, status, look)
        return sighting

    def _is_still_ready(self, candidate: _Candidate, look: Look) -> bool:
        """Whether a name that is about to be returned is what it was when it became ready."""
        sighting = candidate.sighting
        try:
            status = os.lstat(candidate.path)
            signature = Signature.at(candidate.path, status)
        except FileNotFoundError:
            return False
        except OSError as error:
            self._unreadable[candidate.path] = str(error)
            return False
        sighting.note(signature, look.number, look.now)
        if sighting.stage is Stage.SETTLED:
            self._settling.open(sighting, candidate.path, status, look)
        elif not sighting.is_ready:
            look.due_at(look.now + self._settling.settle_s)
        return sighting.is_ready

    def _forget_unseen(self) -> bool:
        """Drop what this look did not see; True when that was anything."""
        has_dropped = False
        self._leftovers.forget_all_but(self._looks)
        for owner, names in self._names.items():
            if owner is not None and os.fspath(self._spool.inbox / owner) in self._unreadable:
                continue
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
