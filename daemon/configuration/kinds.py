"""The kinds of values that settings have, read from text (environment, flags) and from TOML.

A kind raises Unfit, a ValueError, for what it cannot take; whoever asked says what was `expected` and what
was found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from kbd.store.location import SQLITE


class Unfit(ValueError):
    """Not what a kind expects."""


class Kind(Protocol):
    """What a value may be. `empty_is_unset`: an environment variable without text says nothing."""

    empty_is_unset: bool

    @property
    def expected(self) -> str:
        """Such as `a whole number from 1 up`."""

    def from_text(self, text: str) -> Any:
        """The value that a text stands for. Raises Unfit."""

    def from_toml(self, value: object) -> Any:
        """The value that a TOML value stands for. Raises Unfit."""


@dataclass(frozen=True)
class Whole:
    """A count or a number of bytes."""

    least: int = 1
    most: int | None = None
    empty_is_unset = False

    @property
    def expected(self) -> str:
        """The range in words."""
        end = "up" if self.most is None else f"to {self.most}"
        return f"a whole number from {self.least} {end}"

    def from_text(self, text: str) -> int:
        """Decimal digits, nothing else."""
        if not (text.isascii() and text.isdecimal()):
            raise Unfit(text)
        return self.from_toml(int(text))

    def from_toml(self, value: object) -> int:
        """An integer; TOML's booleans are none."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit(value)
        if value < self.least or (self.most is not None and value > self.most):
            raise Unfit(value)
        return value


@dataclass(frozen=True)
class Seconds:
    """A duration."""

    empty_is_unset = False
    expected = "a number of seconds above 0"

    def from_text(self, text: str) -> float:
        """As Python writes numbers, in ASCII and without blanks."""
        if not text.isascii() or text != text.strip() or "_" in text:
            raise Unfit(text)
        try:
            return self.from_toml(float(text))
        except ValueError as error:
            raise Unfit(text) from error

    def from_toml(self, value: object) -> float:
        """An integer or a float, finite."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Unfit(value)
        if not (math.isfinite(value) and value > 0):
            raise Unfit(value)
        return float(value)


@dataclass(frozen=True)
class Location:
    """A folder or a file. `~` is a home; a file of settings means the same whoever reads it, from wherever."""

    empty_is_unset = True
    expected = "an absolute path (or one that begins with ~)"

    def from_text(self, text: str) -> Path:
        """Relative to the current folder."""
        return _expanded(text).absolute()

    def from_toml(self, value: object) -> Path:
        """A string; relative ones are refused."""
        if not isinstance(value, str) or not value:
            raise Unfit(value)
        path = _expanded(value)
        if not path.is_absolute():
            raise Unfit(value)
        return path


@dataclass(frozen=True)
class OneOf:
    """One of a few words. `make` turns the word into the value."""

    words: tuple[str, ...]
    make: Callable[[str], Any] = str
    empty_is_unset = False

    @property
    def expected(self) -> str:
        """The words."""
        return f"one of {', '.join(self.words)}"

    def from_text(self, text: str) -> Any:
        """The word itself."""
        if text not in self.words:
            raise Unfit(text)
        return self.make(text)

    def from_toml(self, value: object) -> Any:
        """A string."""
        if not isinstance(value, str):
            raise Unfit(value)
        return self.from_text(value)


@dataclass(frozen=True)
class DatabaseUrl:
    """Which database: a word, or an URL as SQLAlchemy and libpq read it."""

    empty_is_unset = True
    expected = f"{SQLITE}, or an URL such as postgresql://kbd@db.example/kbd"

    def from_text(self, text: str) -> str:
        """As it stands."""
        if text != SQLITE and _POSTGRESQL.fullmatch(text) is None:
            raise Unfit(text)
        return text

    def from_toml(self, value: object) -> str:
        """A string."""
        if not isinstance(value, str):
            raise Unfit(value)
        return self.from_text(value)


def without_password(text: str) -> str:
    """An URL for people to see."""
    return _PASSWORD.sub(r"\1***\2", text)


_POSTGRESQL: Final = re.compile(r"postgresql(\+psycopg)?://\S*")
_PASSWORD: Final = re.compile(r"(://[^/@:]*:)[^/]*(@)|(?<=[?&]password=)[^&]*")


def _expanded(text: str) -> Path:
    if "\0" in text:
        raise Unfit(text)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # a home of nobody
        raise Unfit(text) from error


COUNT: Final = Whole()
SIZE: Final = Whole()
SECONDS: Final = Seconds()
LOCATION: Final = Location()
DATABASE: Final = DatabaseUrl()
