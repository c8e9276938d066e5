"""One bounded log while it is written. Nothing that the disk does reaches whoever writes.

::

    event loop ──write(bytes)──► pending, bounded ──thread──► segments on the disk
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from kbd.daemon.job_logs.segments import SEGMENT_BYTES, segment_numbers, segment_path

PENDING_BYTES = 4 * SEGMENT_BYTES
TAIL_SEGMENTS = 2


class LogFile:
    """A log that keeps its first and at least its last 64 KiB. There is no file until something is written.

    Args:
        path: its head; the other segments lie beside it.
        thread: one thread; it alone touches the files.
        on_trouble: told once, in that thread, when the disk refuses; nothing more is written then.
    """

    def __init__(self, path: Path, thread: Executor, on_trouble: Callable[[OSError], None]) -> None:
        self._thread = thread
        self._on_trouble = on_trouble
        self._lock = threading.Lock()
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._waits = False
        self._refused = False
        self._segments = _Segments(path)

    def write(self, data: bytes) -> None:
        """Add to the log, some time soon. What a slow disk cannot take is left out in the middle."""
        with self._lock:
            if self._refused:
                return
            room = max(0, SEGMENT_BYTES - self._total)
            self._head += data[:room]
            self._tail += data[room:]
            self._total += len(data)
            self._bound_tail()
            if self._waits:
                return
            self._waits = True
        self._thread.submit(self._store_pending)

    def close(self) -> None:
        """Nothing more will come."""
        self._thread.submit(self._close)

    def _bound_tail(self) -> None:
        """Drop what would not be kept anyway, up to where a segment begins."""
        if len(self._tail) > PENDING_BYTES:
            begin = (self._total - SEGMENT_BYTES) // SEGMENT_BYTES * SEGMENT_BYTES
            del self._tail[: len(self._tail) - (self._total - begin)]

    def _store_pending(self) -> None:
        with self._lock:
            head, tail, total = bytes(self._head), bytes(self._tail), self._total
            self._head.clear()
            self._tail.clear()
            self._waits = False
        if self._refused:
            return
        try:
            self._segments.append(min(total, SEGMENT_BYTES) - len(head), head)
            self._segments.append(total - len(tail), tail)
        except OSError as error:
            self._refused = True
            self._segments.close()
            self._on_trouble(error)

    def _close(self) -> None:
        self._store_pending()
        self._segments.close()


class _Segments:
    """The files of a log, in the thread that writes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._head: int | None = None
        self._tail: int | None = None
        self._numbers: deque[int] = deque()

    def append(self, offset: int, data: bytes) -> None:
        """Write these bytes of the output. Raises OSError."""
        view = memoryview(data)
        while view:
            number, within = divmod(offset, SEGMENT_BYTES)
            piece = view[: SEGMENT_BYTES - within]
            written = os.write(self._file(number), piece)
            offset += written
            view = view[written:]

    def close(self) -> None:
        for descriptor in (self._tail, self._head):
            if descriptor is not None:
                with contextlib.suppress(OSError):  # a late report of a full disk, of which nothing follows
                    os.close(descriptor)
        self._head = self._tail = None

    def _file(self, number: int) -> int:
        if self._head is None:
            self._head = self._begin()
        if number == 0:
            return self._head
        if self._tail is None or self._numbers[-1] != number:
            self._turn_over(number)
        assert self._tail is not None
        return self._tail

    def _begin(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for stale in segment_numbers(self._path):  # of a job of the same name in a database that is gone
            segment_path(self._path, stale).unlink(missing_ok=True)
        head = _created(self._path)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody can tell that we write
            fcntl.flock(head, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return head

    def _turn_over(self, number: int) -> None:
        if self._tail is not None:
            os.close(self._tail)
            self._tail = None
        self._tail = _created(segment_path(self._path, number))
        self._numbers.append(number)
        while len(self._numbers) > TAIL_SEGMENTS:
            segment_path(self._path, self._numbers.popleft()).unlink(missing_ok=True)


def _created(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
