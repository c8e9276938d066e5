"""One thing that was looked at: its name, how it is, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from kbd.daemon.cli.place import Place
from kbd.daemon.config import Settings


class State(StrEnum):
    """From good to bad."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return list(State).index(self)


@dataclass(frozen=True, slots=True)
class Check:
    """What was found. Whatever is not ok has a cure."""

    name: str
    state: State
    finding: str
    cure: str | None = None

    def __post_init__(self) -> None:
        if (self.state is State.OK) != (self.cure is None):
            raise ValueError(f"{self.name}: what is wrong needs a cure, what is not needs none")

    def as_document(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Patient:
    """Who is examined. `settings`: as the daemon would have them, as far as they can be read."""

    place: Place
    settings: Settings


Examination = Callable[[Patient], Iterator[Check]]


def ok(name: str, finding: str) -> Check:
    """All is well."""
    return Check(name, State.OK, finding)


def warn(name: str, finding: str, cure: str) -> Check:
    """It works, though not as well as it could, or not for long."""
    return Check(name, State.WARN, finding, cure)


def fail(name: str, finding: str, cure: str) -> Check:
    """It does not work."""
    return Check(name, State.FAIL, finding, cure)
