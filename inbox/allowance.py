"""How much work one document may ask of whoever reads it.

A manifest is small, what it stands for need not be: a few kilobytes of zstd are gigabytes, and a megabyte of
expressions is parsed for seconds. Models check their parts one by one and know nothing of each other; so an
allowance is opened for a document, and its parts spend it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

MAX_LITERAL_BYTES: Final = 64 << 20
"""What literal data may unpack to, alone and all of a document together."""

MAX_EXPRESSION_CHARS: Final = 1 << 16
"""Of all expressions of a document together."""


@dataclass(slots=True)
class _Allowance:
    literal_bytes: int = MAX_LITERAL_BYTES
    expression_chars: int = MAX_EXPRESSION_CHARS


_open: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def allowance() -> Iterator[None]:
    """Everything that is checked meanwhile spends from one allowance."""
    token = _open.set(_Allowance())
    try:
        yield
    finally:
        _open.reset(token)


def may_unpack(count: int) -> bool:
    """Whether so many bytes may still be unpacked; they are spent. Anything may where no allowance is open."""
    left = _open.get()
    if left is not None:
        left.literal_bytes -= count
    return left is None or left.literal_bytes >= 0


def may_parse(count: int) -> bool:
    """Whether so many characters of expressions may still be parsed; they are spent."""
    left = _open.get()
    if left is not None:
        left.expression_chars -= count
    return left is None or left.expression_chars >= 0
