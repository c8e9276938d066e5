"""What can be wrong with something a user put into the inbox.

::

    InboxError
    ├── InvalidJob                the document was read and is no job; `.problems` lists everything found
    │   └── TruncatedDocument     it ends too early: the file may still be arriving
    └── UnsafeFile                it was not read at all: a symlink, a FIFO, a folder, too large, …

Rooms and modules of the inbox may add their own leaves. OSError is not part of the tree: a file system that
fails is no fault of the job.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

MAX_TEXT_CHARS = 4096
"""Of each text of a problem; a document of a megabyte may hold one key, and a hundred mistakes below it."""

_SHOWN_PROBLEMS = 20
_SHOWN_STEP_CHARS = 128


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it is, and the way out.

    Attributes:
        pointer: JSON pointer (RFC 6901) of the field; the empty string is the whole document.
        message: what is wrong, as a sentence without a full stop.
        expected: what would have been right.
        found: what is there.
        hint: what to do.
        line: line of the document, counted from 1, where it is known.
    """

    pointer: str
    message: str
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    line: int | None = None

    def __post_init__(self) -> None:
        for name in ("message", "expected", "found", "hint"):
            text = getattr(self, name)
            if text is not None and len(text) > MAX_TEXT_CHARS:
                object.__setattr__(self, name, f"{text[:MAX_TEXT_CHARS]}…")

    def __str__(self) -> str:
        where = self.pointer or "the document"
        if self.line is not None:
            where = f"{where} (line {self.line})"
        details = [
            f"{label} {text}" for label, text in (("expected", self.expected), ("found", self.found)) if text
        ]
        text = f"{where}: {self.message}"
        if details:
            text = f"{text}: {', '.join(details)}"
        return f"{text}; {self.hint}" if self.hint else text


class InboxError(Exception):
    """Something in the inbox cannot be used; the text says what, and what to do."""


class InvalidJob(InboxError):
    """A document that is no job. `problems` holds everything that was found, in the order of the document."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(describe(self.problems))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class TruncatedDocument(InvalidJob):
    """The document ends in the middle of something: it may still be arriving."""


class UnsafeFile(InboxError):
    """A file that must not be read: no regular file, a symlink, too large, unreadable, outside its folder."""


class ProblemsFound(ValueError):
    """Raised by validators of the models to name several fields at once; pointers are relative to the model.

    Never leaves the inbox: `kbd.inbox.validation` turns it into an InvalidJob.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(describe(self.problems))


def pointer_to(*parts: str | int) -> str:
    """The JSON pointer of a path of keys and indices: `pointer_to("io", "args", 0)` is `/io/args/0`.

    A key that is longer than any field's name is cut, and ends with `…` then.
    """
    return "".join(f"/{_step(str(part))}" for part in parts)


def _step(key: str) -> str:
    shown = key if len(key) <= _SHOWN_STEP_CHARS else f"{key[:_SHOWN_STEP_CHARS]}…"
    if not shown.isascii():  # half of a surrogate pair can be written nowhere
        shown = shown.encode("utf-8", "backslashreplace").decode()
    return shown.replace("~", "~0").replace("/", "~1")


def describe(problems: Sequence[Problem]) -> str:
    """All problems as text, one a line; a very long list is cut and says so."""
    lines = [str(problem) for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"… and {len(problems) - _SHOWN_PROBLEMS} more")
    return "\n".join(lines)
