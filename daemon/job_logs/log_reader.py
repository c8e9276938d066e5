"""A log as somebody reads it, from its beginning and on while it grows."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from kbd.daemon.job_logs.segments import SEGMENT_BYTES, segment_numbers, segment_path


@dataclass(frozen=True, slots=True)
class Piece:
    """Some output. `left_out`: so many bytes before it are gone."""

    data: bytes
    left_out: int = 0


class LogReader:
    """Reads a log piece by piece; what is written later is read later."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0

    def read(self) -> Piece | None:
        """The next piece, or None where there is none now. Raises OSError if the files cannot be read."""
        if data := self._here():
            return Piece(data)
        later = [number for number in segment_numbers(self._log) if number * SEGMENT_BYTES > self._offset]
        if not later:
            return None
        if data := self._here():  # written before the later segment was begun
            return Piece(data)
        left_out = later[0] * SEGMENT_BYTES - self._offset
        self._offset += left_out
        return Piece(self._here(), left_out)

    def is_written(self) -> bool:
        """Whether its writer is alive and may still add to it."""
        try:
            descriptor = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _here(self) -> bytes:
        number, within = divmod(self._offset, SEGMENT_BYTES)
        try:
            descriptor = os.open(segment_path(self._log, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            data = os.pread(descriptor, SEGMENT_BYTES - within, within)
        finally:
            os.close(descriptor)
        self._offset += len(data)
        return data
