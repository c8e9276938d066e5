"""Epochs: each daemon that takes over the spool claims into a folder of its own, numbered like its lease.

A former owner that was paused and wakes finds its folder gone: its next claim fails with EpochLost.
"""

import errno
import os
import re
from pathlib import Path

from kbd.inbox.durable import fsync_folder, make_folder, rename_once
from kbd.inbox.errors import InboxError
from kbd.inbox.spool import Spool

_EPOCH = re.compile(r"\d{6,}")
_TAKEOVER = "takeover-"


class EpochLost(InboxError):
    """Another daemon has taken the spool over: stop at once, touch nothing."""


def highest_epoch(spool: Spool) -> int:
    """The latest epoch there is; 0 when there is none. Raises OSError."""
    return max((int(name) for name in _epochs_in(spool.claimed)), default=0)


def make_epoch(epoch_folder: Path) -> None:
    """Create `claimed/EPOCH` for the holder of the lease with this number; nobody else may."""
    make_folder(epoch_folder)


def fence_older(spool: Spool, epoch_folder: Path) -> None:
    """Move all other epochs into `epoch_folder` as `takeover-OLD`, side by side, with what they hold.

    What lies there is found by `kbd.inbox.spool.jobs_under(epoch_folder)`.
    """
    own = int(epoch_folder.name)
    for name in _epochs_in(spool.claimed):
        if int(name) < own:
            taken_over = epoch_folder / f"{_TAKEOVER}{name}"
            rename_once(spool.claimed / name, taken_over)
            _lift_takeovers(taken_over, epoch_folder)
            _remove_empty(taken_over)
    fsync_folder(epoch_folder)
    fsync_folder(spool.claimed)


def takeovers_in(epoch_folder: Path) -> list[Path]:
    """What was taken over and holds jobs still; what holds none any more is removed. Raises OSError."""
    with os.scandir(epoch_folder) as entries:
        found = [Path(entry.path) for entry in entries if entry.name.startswith(_TAKEOVER)]
    return [folder for folder in sorted(found) if not _try_to_remove(folder)]


def require_epoch(spool: Spool, epoch_folder: Path) -> None:
    """Raise EpochLost unless the folder can be opened just now (opening asks the server).

    Raises SpoolMissing where the whole spool is gone, which says nothing about who owns it.
    """
    try:
        os.close(os.open(epoch_folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except FileNotFoundError as error:
        spool.require()
        raise EpochLost(
            f"{epoch_folder} is gone: another daemon owns this spool now. This one must stop; "
            "nothing is lost, the other one goes on with what was claimed"
        ) from error


def _lift_takeovers(folder: Path, epoch_folder: Path) -> None:
    """Takeovers of takeovers come to lie beside them, so that paths do not grow with every restart."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if re.fullmatch(rf"{_TAKEOVER}\d+", entry.name)]
    for name in names:
        if not (folder / name).is_dir():
            continue
        _lift_takeovers(folder / name, epoch_folder)  # there are some if this was once cut short
        if not _remove_empty(folder / name):
            rename_once(folder / name, epoch_folder / name)


def _remove_empty(folder: Path) -> bool:
    """Remove an epoch that was taken over and in which no job is left; False: there is one."""
    with os.scandir(folder) as entries:
        places = [
            entry.path for entry in entries if entry.name[0] in "@+" and entry.is_dir(follow_symlinks=False)
        ]
    for place in places:
        _remove_empty(Path(place))
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _try_to_remove(folder: Path) -> bool:
    """As `_remove_empty`; one that cannot be removed just now stays."""
    try:
        return _remove_empty(folder)
    except OSError:
        return False


def _epochs_in(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _EPOCH.fullmatch(entry.name) and entry.is_dir())
