"""How a bounded log lies on the disk, so that it can be followed while it grows.

::

    candidate.log        bytes 0 … 65535: the head, kept for good
    candidate.log.7      bytes 7·65536 …  the tail: the last two segments are kept,
    candidate.log.8      bytes 8·65536 …            the older ones removed

Segments are only ever appended to, and their number says where in the output they belong. Whoever follows keeps an
offset and knows how much was left out where a segment is missing; nothing but the files has to be believed. The
writer holds an flock on the head until it has written its last byte, so a dead one is not waited for.
"""

from __future__ import annotations

import os
from pathlib import Path

SEGMENT_BYTES = 64 << 10


def segment_path(log: Path, number: int) -> Path:
    """The file of a segment; the head is the log itself."""
    return log if number == 0 else log.with_name(f"{log.name}.{number}")


def segment_numbers(log: Path) -> list[int]:
    """Which segments there are, in their order."""
    prefix = f"{log.name}."
    try:
        names = os.listdir(log.parent)
    except (FileNotFoundError, NotADirectoryError):
        return []
    tail = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    head = [0] if log.name in names else []
    return head + sorted(int(number) for number in tail if number.isascii() and number.isdecimal())
