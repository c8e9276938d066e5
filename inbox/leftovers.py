"""Temporary names in the inbox whose writers may have died, remembered until they were idle for long."""

import os
from pathlib import Path

from kbd.inbox.sighting import Sighting, Signature


class Leftovers:
    """The `.NAME.tmp` files and folders that the looks of a scanner came across.

    Args:
        idle_s: how long one must be unchanged, on our own clock, to count as abandoned.
        limit: how many are remembered at most.
    """

    def __init__(self, idle_s: float, limit: int) -> None:
        self._idle_s = idle_s
        self._limit = limit
        self._seen: dict[str, Sighting] = {}

    def note(self, entry: os.DirEntry[str], look: int, now: float) -> None:
        """Take down an ignored name, if it is one of a client's temporaries."""
        if not (entry.name.startswith(".") and entry.name.endswith(".tmp")):
            return
        try:
            signature = Signature.of(entry.stat(follow_symlinks=False))
        except OSError:
            return
        sighting = self._seen.get(entry.path)
        if sighting is not None:
            sighting.note(signature, look, now)
        elif len(self._seen) < self._limit:
            self._seen[entry.path] = Sighting(look, look, signature, now)

    def forget_all_but(self, look: int) -> None:
        """Drop what the given look did not see."""
        self._seen = {path: seen for path, seen in self._seen.items() if seen.last_look == look}

    def abandoned(self, now: float) -> list[Path]:
        """Those that have been idle for long enough to be removed."""
        return [Path(path) for path, seen in self._seen.items() if now - seen.unchanged_since >= self._idle_s]
