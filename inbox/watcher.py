"""Hints from inotify: when to look at the inbox and at control/, and which jobs were renamed into place.

No job may depend on a hint: of an unpaced burst of 20,000 renames about 4,000 events were delivered. Where
other hosts write too (a network file system) inotify sees only part, so nothing is watched there and the
timer of the scanner's caller does all the work.
"""

import enum
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyFullEmitter, InotifyObserver
from watchdog.observers.inotify_c import InotifyConstants, Mask

from kbd.inbox.mounts import filesystem_of
from kbd.inbox.names import is_ignored, is_owner
from kbd.inbox.spool import Spool

if TYPE_CHECKING:
    from watchdog.observers.api import ObservedWatch

logger = logging.getLogger(__name__)

_EVENTS: list[type[FileSystemEvent]] = [
    FileMovedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    DirCreatedEvent,
]
_WATCHDOG_LOGGER = "watchdog.observers"
_OWNERS_LIMIT = 64  # each watched folder costs a thread; jobs of further owners are found by scans


class HintKind(enum.Enum):
    """What a hint says."""

    ARRIVED = "renamed into place: may be claimed at once"
    TOUCHED = "created, or closed after writing: look again"
    ASKED = "a request lies in control/"
    OVERFLOW = "events were lost: look again"


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint. `path` is what it is about; None: look at everything."""

    kind: HintKind
    path: Path | None = None


class InboxWatcher:
    """Watches the inbox, the folders of owners in it, and control/, from `start` to `stop`.

    Args:
        spool: whose folders are watched.
        on_hint: called in a thread of the watcher; must return quickly and never raise.
    """

    def __init__(self, spool: Spool, on_hint: Callable[[Hint], None]) -> None:
        self._inbox = spool.inbox
        self._control = spool.control
        self._on_hint = on_hint
        self._listener = _Listener(self._see)
        self._control_listener = _Listener(self._see_request)
        self._overflow_listener = _OverflowListener(on_hint)
        self._observer: InotifyObserver | None = None
        self._owners: dict[str, ObservedWatch] = {}

    def start(self) -> bool:
        """Begin to watch. Returns False, with a log record saying why, when only scans will find jobs."""
        mount = filesystem_of(self._inbox)
        if mount.is_network:
            _log_unwatched(self._inbox, f"{mount.fs_type} shows no events of other hosts")
            return False
        try:
            observer = _ArrivalObserver()
            observer.schedule(self._listener, os.fspath(self._inbox), event_filter=_EVENTS)
            observer.schedule(self._control_listener, os.fspath(self._control), event_filter=_EVENTS)
            observer.start()
        except OSError as error:
            _log_unwatched(self._inbox, str(error))
            return False
        self._observer = observer
        logging.getLogger(_WATCHDOG_LOGGER).addHandler(self._overflow_listener)
        self._watch_present_owners()
        return True

    def stop(self) -> None:
        """End watching and wait for the watcher's threads. Does nothing when it was not started."""
        logging.getLogger(_WATCHDOG_LOGGER).removeHandler(self._overflow_listener)
        observer, self._observer = self._observer, None
        self._owners.clear()
        if observer is not None:
            observer.stop()
            observer.join()

    def _see_request(self, event: FileSystemEvent) -> None:
        place, _ = _place_of(event)
        if place and not is_ignored(Path(place).name):
            self._on_hint(Hint(HintKind.ASKED))

    def _see(self, event: FileSystemEvent) -> None:
        place, has_arrived = _place_of(event)
        path = Path(place)
        if not place or is_ignored(path.name):
            return
        if event.is_directory and path.parent == self._inbox and is_owner(path.name):
            self._watch_owner(path.name)
            self._on_hint(Hint(HintKind.TOUCHED))
        else:
            self._on_hint(Hint(HintKind.ARRIVED if has_arrived else HintKind.TOUCHED, path))

    def _watch_present_owners(self) -> None:
        with os.scandir(self._inbox) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in names:
            if is_owner(name) and not is_ignored(name) and name not in self._owners:
                self._watch_owner(name)

    def _watch_owner(self, name: str) -> None:
        """Watch an owner's folder; one that was removed and made again is a new folder and watched anew."""
        observer = self._observer
        if observer is None:
            return
        former = self._owners.pop(name, None)
        if former is not None:
            observer.unschedule(former)
        if len(self._owners) >= _OWNERS_LIMIT:
            _log_unwatched(self._inbox / name, f"{_OWNERS_LIMIT} folders are watched already")
            return
        try:
            self._owners[name] = observer.schedule(
                self._listener, os.fspath(self._inbox / name), event_filter=_EVENTS
            )
        except OSError as error:
            _log_unwatched(self._inbox / name, str(error))


class _ArrivalEmitter(InotifyFullEmitter):
    """Reports what arrives, and nothing about what leaves.

    watchdog holds an event of leaving back for half a second, to pair it with one of arriving, and everything
    behind it too: each claim would delay the next job. Without the event of leaving nothing is held back.
    """

    def get_event_mask_from_filter(self) -> Mask:
        return Mask(super().get_event_mask_from_filter() & ~InotifyConstants.IN_MOVED_FROM)


class _ArrivalObserver(InotifyObserver):
    def __init__(self) -> None:
        super().__init__(generate_full_events=True)
        self._emitter_class = _ArrivalEmitter


class _Listener(FileSystemEventHandler):
    def __init__(self, see: Callable[[FileSystemEvent], None]) -> None:
        self._see = see

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._see(event)


class _OverflowListener(logging.Handler):
    """watchdog tells of lost events in its log only."""

    def __init__(self, on_hint: Callable[[Hint], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_hint = on_hint

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._on_hint(Hint(HintKind.OVERFLOW))


def _place_of(event: FileSystemEvent) -> tuple[str, bool]:
    """Where something is now, and whether it came there by a rename."""
    has_arrived = isinstance(event, FileMovedEvent | DirMovedEvent)
    return os.fsdecode(event.dest_path if has_arrived else event.src_path), has_arrived


def _log_unwatched(folder: Path, reason: str) -> None:
    logger.warning(
        "%s is not watched: %s; jobs there are found by the regular scan",
        folder,
        reason,
        extra={"action": "not_watched", "folder": os.fspath(folder), "reason": reason},
    )
