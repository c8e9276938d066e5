"""What a loaded document may consist of, so that everything behind the loader can rely on it."""

import math

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
    problems: list[Problem] = []
    stack: list[tuple[str, object, int]] = [("", document, 1)]
    while stack and len(problems) < MAX_PROBLEMS:
        pointer, value, depth = stack.pop()
        if isinstance(value, dict | list):
            problems += _container_problems(pointer, value, depth)
            if depth <= MAX_DEPTH:
                children = value.items() if isinstance(value, dict) else enumerate(value)
                below = [(pointer + pointer_to(key), child, depth + 1) for key, child in children]
                stack.extend(reversed(below))
        elif problem := _scalar_problem(pointer, value):
            problems.append(problem)
    return problems[:MAX_PROBLEMS]


def shown(value: object) -> str:
    """A value as a message names it: short, on one line, and with its type where that is the point."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {_cut(repr(value))}"
    if isinstance(value, str):
        return f"the text {_cut(repr(value))}"
    if isinstance(value, dict):
        return f"a mapping ({_cut(', '.join(map(str, value)))})" if value else "an empty mapping"
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
    message = f"the key {_cut(repr(key))} is given twice"
    return Problem(pointer + pointer_to(key), message, hint="keep one of them", line=line)


def _container_problems(pointer: str, value: dict[str, object] | list[object], depth: int) -> list[Problem]:
    if depth > MAX_DEPTH:
        return [too_deep(pointer)]
    if isinstance(value, DuplicateKeys):
        return [duplicate_key(pointer, key) for key in value.duplicates]
    return []


def _scalar_problem(pointer: str, value: object) -> Problem | None:
    if isinstance(value, float) and not math.isfinite(value):
        hint = "write a finite number"
        return Problem(pointer, "not a finite number", "a finite number", repr(value), hint)
    if isinstance(value, int) and abs(value) >= _WORD_LIMIT:
        return Problem(pointer, "the number does not fit 64 bits", hint="write a smaller one")
    if isinstance(value, str) and not _is_unicode(value):
        hint = "a \\ud800 to \\udfff escape must come in a pair"
        return Problem(pointer, "the text holds half of a surrogate pair", hint=hint)
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
