"""On which lines the fields of a YAML or JSON text stand, for messages."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

from kbd.inbox.errors import pointer_to
from kbd.inbox.yaml_text import events_of, line_of

MAX_EVENTS = 50_000
"""How far a text is read again."""


def lines_of(text: str, pointers: Iterable[str]) -> dict[str, int]:
    """The lines (from 1) of those fields of a YAML or JSON text, and of all that they lie in, by JSON pointer.

    Only of fields that are found, and not far into a very long text; empty if it is no YAML. For text that was
    loaded before, so that its depth is known to be harmless.
    """
    wanted = {pointer[:end] for pointer in pointers for end in _ends_of_steps(pointer)}
    lines: dict[str, int] = {}
    try:
        _find_lines(itertools.islice(events_of(text), MAX_EVENTS), wanted, lines)
    except yaml.YAMLError:
        return {}
    return lines


def _ends_of_steps(pointer: str) -> Iterator[int]:
    """Where a pointer and those of all that it lies in end: 0, and before every slash but the first."""
    yield 0
    yield from (place for place in range(1, len(pointer)) if pointer[place] == "/")
    yield len(pointer)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read. `pointer` is None where nobody asks for anything in it."""

    pointer: str | None
    is_mapping: bool
    entries: int = 0
    key: str | None = None
    key_line: int = 0


def _find_lines(events: Iterable[yaml.Event], wanted: set[str], lines: dict[str, int]) -> None:
    """The line of a field is the one of its key."""
    around: list[_Open] = []
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            around.pop()
        if not isinstance(event, yaml.NodeEvent):
            continue
        inside = around[-1] if around else None
        pointer, line = _place_of(event, inside)
        if pointer in wanted:
            lines[pointer] = line
        else:
            pointer = None
        if isinstance(event, yaml.CollectionStartEvent):
            around.append(_Open(pointer, isinstance(event, yaml.MappingStartEvent)))


def _place_of(event: yaml.NodeEvent, inside: _Open | None) -> tuple[str | None, int]:
    """Pointer and line of the value that begins here; no pointer for a key, or where nobody asks."""
    if inside is None:
        return "", line_of(event)
    inside.entries += 1
    if not inside.is_mapping:
        step: str | int = inside.entries - 1
        line = line_of(event)
    elif inside.entries % 2:
        inside.key = event.value if isinstance(event, yaml.ScalarEvent) else None
        inside.key_line = line_of(event)
        return None, 0
    elif inside.key is None:
        return None, 0
    else:
        step, line = inside.key, inside.key_line
    return None if inside.pointer is None else inside.pointer + pointer_to(step), line
