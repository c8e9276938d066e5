"""What the scanner remembers about one name in the inbox, and how it looks at the file behind it.

```
 SETTLING ──renamed into place (hint), or not worth waiting for──► READY
  ▲  │
  │  └─same size, mtime and inode for settle_s─► SETTLED, opened when it is chosen:
  │                                                ├─parses, or cannot be read once more─► READY
  ├──cannot be read────────────────────────────────┤
  │                                                └─ends too early─► TRUNCATED ─truncated_s─► READY, not complete
  │                                                  (a folder: lacks files)
  └──any change
```

Times are of our own monotonic clock; the mtime of a file is only ever compared with itself.
"""

import enum
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kbd.inbox.errors import InboxError, TruncatedDocument
from kbd.inbox.freshness import refresh
from kbd.inbox.names import JOB_DOCUMENTS
from kbd.inbox.safe_load import check_end, open_regular, read_descriptor

_FOLDER_ENTRIES_LIMIT = 10_000


class Signature(NamedTuple):
    """What changes when a delivery changes. Of a folder: sums over everything in it."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Signature":
        """The signature of one file, whatever its type."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    @classmethod
    def at(cls, path: str, status: os.stat_result, *, anew: bool = False) -> "Signature":
        """The signature of what lies at `path`, given its status; a folder counts with all it holds.

        `anew`: ask the server for each part, where a network file system may remember what was.
        """
        if not stat.S_ISDIR(status.st_mode):
            return cls.of(status)
        try:
            return cls.of_folder(path, status, anew=anew)
        except PermissionError:
            return cls.of(status)  # intake says what is wrong with it

    @classmethod
    def of_folder(cls, path: str, status: os.stat_result, *, anew: bool = False) -> "Signature":
        """The signature of a folder, down to its last file (of the first 10,000).

        Raises OSError when a part cannot be listed.
        """
        size, mtime_ns, inode = 0, status.st_mtime_ns, status.st_ino
        folders, seen = [path], 0
        while folders and seen < _FOLDER_ENTRIES_LIMIT:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if anew:
                        refresh(entry.path)
                    part = entry.stat(follow_symlinks=False)
                    size, mtime_ns, inode = (
                        size + part.st_size,
                        mtime_ns + part.st_mtime_ns,
                        inode + part.st_ino,
                    )
                    seen += 1
                    if stat.S_ISDIR(part.st_mode):
                        folders.append(entry.path)
        return cls(size, mtime_ns, inode)


class Stage(enum.Enum):
    """How far a delivery has come."""

    SETTLING = "settling"
    SETTLED = "settled, to be opened before it is handed out"
    TRUNCATED = "truncated"
    READY = "ready"
    READY_INCOMPLETE = "ready, though it ends too early"


class Finding(enum.Enum):
    """What opening a delivery showed."""

    WHOLE = "whole, or broken in a way that waiting does not mend"
    TRUNCATED = "ends too early, or lacks files"
    UNREADABLE = "cannot be read just now"
    CHANGED = "no longer what was listed"
    GONE = "gone"


@dataclass(slots=True)
class Sighting:
    """One name: since when it is known, and since when it is unchanged."""

    first_look: int
    last_look: int
    signature: Signature
    unchanged_since: float
    stage: Stage = Stage.SETTLING
    deferred_until: float = float("-inf")
    unread_until: float = float("-inf")
    """Could not be read when it was opened, and is not opened again before."""

    @property
    def may_be_chosen(self) -> bool:
        """Whether it is ready, or opening it will show that."""
        return self.stage is Stage.SETTLED or self.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether intake may have it."""
        return self.stage in (Stage.READY, Stage.READY_INCOMPLETE)

    def note(self, signature: Signature, look: int, now: float) -> None:
        """Take down what this look shows; any change starts the waiting anew."""
        self.last_look = look
        if signature == self.signature:
            return
        if signature.inode != self.signature.inode:
            self.first_look = look
        self.signature = signature
        self.unchanged_since = now
        self.unread_until = float("-inf")
        self.stage = Stage.SETTLING


def examine(path: Path, signature: Signature, *, limit_bytes: int) -> Finding:
    """Open a file that seems settled, to see whether it is the same still and parses.

    Opening asks the server of a network file system, where listing may show what was cached.
    Anything that intake will refuse anyhow counts as whole.
    """
    try:
        descriptor = open_regular(path)
        try:
            if Signature.of(os.fstat(descriptor)) != signature:
                return Finding.CHANGED
            data = read_descriptor(descriptor, limit_bytes, path.name)
        finally:
            os.close(descriptor)
        check_end(data, path.suffix)
    except TruncatedDocument:
        return Finding.TRUNCATED
    except FileNotFoundError:
        return Finding.GONE
    except OSError:
        return Finding.UNREADABLE
    except InboxError:
        return Finding.WHOLE
    return Finding.WHOLE


def examine_folder(path: Path, signature: Signature, *, limit_bytes: int) -> Finding:
    """Look into a folder that seems settled: it is the same still, its document parses, its files are there."""
    try:
        refresh(path)
        if Signature.at(os.fspath(path), os.lstat(path), anew=True) != signature:
            return Finding.CHANGED
    except FileNotFoundError:
        return Finding.CHANGED
    except OSError:
        return Finding.UNREADABLE
    for name in JOB_DOCUMENTS:
        document = path / name
        try:
            signature = Signature.of(os.lstat(document))
        except FileNotFoundError:
            continue
        except OSError:
            return Finding.UNREADABLE
        finding = examine(document, signature, limit_bytes=limit_bytes)
        if finding is not Finding.WHOLE:
            return Finding.CHANGED if finding is Finding.GONE else finding
        break
    return _examine_completeness(path)


def _examine_completeness(path: Path) -> Finding:
    """Whether everything is there that a job needs whose document, if there is any, is whole."""
    from kbd.inbox.job_file import (
        lacks_files,  # here: only daemons look into folders, and it is slow to import
    )

    try:
        return Finding.TRUNCATED if lacks_files(path) else Finding.WHOLE
    except FileNotFoundError:
        return Finding.CHANGED
    except OSError:
        return Finding.UNREADABLE
    except InboxError:
        return Finding.WHOLE
