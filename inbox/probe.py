"""Whether a spool can do what a queue needs, found out by doing it: rename, link and fsync in every folder.

Two mounts of one export look like one tree and refuse to rename between them (EXDEV); some file systems know no
links. Both would show only at the first job; so a small file goes round all folders at start. Folders that a
file can be renamed between are on one mount, so a tour that visits each once tries every pair.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from kbd.inbox.durable import create_durably, fsync_folder, link_once, remove, rename_once
from kbd.inbox.errors import InboxError
from kbd.inbox.spool import Spool

_NAME: Final = ".probe.tmp"
_ADVICE: Final = {
    errno.EXDEV: "both must lie on one mount: mount the spool once, as a whole",
    errno.EACCES: "the daemon's user needs write permission on both",
    errno.EPERM: "the daemon's user needs write permission on both, and the file system must know hard links",
    errno.EROFS: "it is mounted read-only: mount it for writing",
    errno.ENOTSUP: "this file system cannot do that; keep the spool on another one",
    errno.ENOSYS: "this file system cannot do that; keep the spool on another one",
}


class SpoolUnfit(InboxError):
    """The file system of the spool cannot do what kbd needs; the text says what failed, where, and the way out."""


def probe_folders(spool: Spool) -> None:
    """Try everything that jobs and results will need. Raises SpoolUnfit; nothing is left behind."""
    folders = (
        spool.outbox_tmp,
        spool.outbox,
        spool.root,
        spool.lease,
        spool.answers,
        spool.control,
        spool.inbox,
        spool.claimed,
        spool.quarantine,
        spool.done,
    )
    for folder in folders:  # of a daemon that was killed while it probed
        remove(folder / _NAME)
    try:
        _try(
            "write a file in", folders[0], folders[0], partial(create_durably, folders[0] / _NAME, b"probe\n")
        )
        _tour(folders)
    finally:
        for folder in folders:
            with contextlib.suppress(OSError):
                remove(folder / _NAME)


def _tour(folders: Sequence[Path]) -> None:
    for here, there in pairwise(folders):
        source, target = here / _NAME, there / _NAME
        _try("link from", here, there, partial(link_once, source, target))
        _try("unlink in", there, there, partial(os.unlink, target))
        _try("rename from", here, there, partial(rename_once, source, target))
        _try("fsync", there, there, partial(fsync_folder, there))


def _try(deed: str, here: Path, there: Path, act: Callable[[], object]) -> None:
    try:
        act()
    except OSError as error:
        where = f"{here} to {there}" if here != there else f"{here}"
        advice = _ADVICE.get(error.errno or 0, "see to its file system, then start again")
        raise SpoolUnfit(f"kbd cannot {deed} {where}: {error.strerror}; {advice}") from error
