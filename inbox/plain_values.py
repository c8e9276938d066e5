"""What a loaded document may consist of, so that everything behind the loader can rely on it."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from kbd.inbox.errors import Problem, pointer_to

MAX_DEPTH = 64
MAX_PROBLEMS = 100

_WORD_LIMIT = 1 << 64
_SHOWN_CHARACTERS = 60


class DuplicateKeys(dict[str, object]):
    """A mapping whose text named some keys twice; only a loader makes it, and `problems_in` reports it."""

    duplicates: tuple[str, ...] = ()


def problems_in(document: object) -> list[Problem]:
    """What in a tree of plain values no job may contain, at most MAX_PROBLEMS of it, in document order.

    These are keys that come twice, nesting over MAX_DEPTH, NaN and infinities, whole numbers beyond 64 bits,
    and text that is not Unicode (lone surrogates).
    """
    return list(itertools.islice(_problems_below(document, []), MAX_PROBLEMS))


def shown(value: object) -> str:
    """A value as a message names it: short, on one line, and with its type where that is the point."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {_cut(repr(value))}"
    if isinstance(value, str):
        return f"the text {_cut(repr(value[: 2 * _SHOWN_CHARACTERS]))}"
    if isinstance(value, dict):
        first = itertools.islice(value, _SHOWN_CHARACTERS)
        return f"a mapping ({_cut(', '.join(map(str, first)))})" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f"{type(value).__name__} {_cut(repr(value))}"


def too_deep(pointer: str, line: int | None = None) -> Problem:
    """Nesting that no job needs."""
    expected = f"at most {MAX_DEPTH} levels"
    return Problem(pointer, "nested too deeply", expected, hint="flatten the document", line=line)


def endless_number() -> Problem:
    """A number that Python would not even convert (over 4300 digits)."""
    return Problem("", "a number has thousands of digits", hint="write a smaller one")


def duplicate_key(pointer: str, key: str, line: int | None = None) -> Problem:
    """The same key twice in the mapping at `pointer`, whose meaning nobody can know."""
    message = f"the key {_cut(repr(key[: 2 * _SHOWN_CHARACTERS]))} is given twice"
    return Problem(pointer + pointer_to(key), message, hint="keep one of them", line=line)


def _problems_below(value: object, path: list[str | int]) -> Iterator[Problem]:
    """Of a value and all that it holds. Pointers are made of the path only where something is wrong."""
    if not isinstance(value, dict | list):
        if problem := _scalar_problem(value, path):
            yield problem
        return
    if len(path) >= MAX_DEPTH:
        yield too_deep(pointer_to(*path))
        return
    if isinstance(value, DuplicateKeys):
        yield from (duplicate_key(pointer_to(*path), key) for key in value.duplicates)
    children: Iterable[tuple[str | int, object]] = (
        value.items() if isinstance(value, dict) else enumerate(value)
    )
    for key, child in children:
        if isinstance(key, str) and not key.isascii() and (problem := _text_problem(key, [*path, key])):
            yield problem
        if child is None or type(child) is bool or (type(child) is int and 0 <= child < _WORD_LIMIT):
            continue  # most of a long list
        path.append(key)
        yield from _problems_below(child, path)
        path.pop()


def _scalar_problem(value: object, path: list[str | int]) -> Problem | None:
    if isinstance(value, float) and not math.isfinite(value):
        hint = "write a finite number"
        return Problem(pointer_to(*path), "not a finite number", "a finite number", repr(value), hint)
    if isinstance(value, int) and abs(value) >= _WORD_LIMIT:
        return Problem(pointer_to(*path), "the number does not fit 64 bits", hint="write a smaller one")
    return _text_problem(value, path) if isinstance(value, str) else None


def _text_problem(text: str, path: Sequence[str | int]) -> Problem | None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        hint = "a \\ud800 to \\udfff escape must come in a pair"
        return Problem(pointer_to(*path), "the text holds half of a surrogate pair", hint=hint)
    return None


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
