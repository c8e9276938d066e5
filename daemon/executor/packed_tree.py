"""What a packed tree of values (kbd.daemon.runner.values) may look like, for those who get one from a runner.

::

    tree = null | true | false | number | text | [tree, …]
         | {"tuple": [tree, …]} | {"dict": [[key, tree], …]} | {"float": "nan" | "inf" | "-inf"}
         | {"dtype": text} | {"tensor": 0 … count-1}
    key  = a tree without lists and dicts
"""

from __future__ import annotations

import math
from typing import Any, Final

MAX_DEPTH: Final = 80
"""Levels of JSON; a value may be nested 32 deep, and a dict in it takes two for each of its own."""

MAX_NODES: Final = 300_000
LARGEST_INT: Final = (1 << 64) - 1
LONGEST_DTYPE: Final = 32
_FLOATS: Final = frozenset({"nan", "inf", "-inf"})


def check_tree(tree: Any, tensors: int) -> None:
    """Raise ValueError for what `pack` never makes; `tensors`: how many it may refer to."""
    _Check(tensors).node(tree, 0, is_key=False)


class _Check:
    def __init__(self, tensors: int) -> None:
        self._tensors = tensors
        self._nodes = 0

    def node(self, node: Any, depth: int, *, is_key: bool) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise ValueError("values are nested too deeply, or too many")
        if isinstance(node, list):
            self._all(node, depth, allowed=not is_key, is_key=False)
        elif isinstance(node, dict):
            self._tagged(node, depth, is_key=is_key)
        elif isinstance(node, float) and not math.isfinite(node):
            raise ValueError("a number that is not finite, outside of its tag")
        elif isinstance(node, int) and abs(node) > LARGEST_INT:
            raise ValueError("a whole number beyond 64 bits")

    def _tagged(self, node: dict[str, Any], depth: int, *, is_key: bool) -> None:
        match list(node.items()):
            case [("tuple", list(entries))]:
                self._all(entries, depth, allowed=True, is_key=is_key)
            case [("dict", list(entries))] if not is_key:
                for entry in entries:
                    if not isinstance(entry, list) or len(entry) != 2:
                        raise ValueError("an entry of a dict that is no key with a value")
                    self.node(entry[0], depth + 2, is_key=True)
                    self.node(entry[1], depth + 2, is_key=False)
            case [("tensor", int(place))] if type(place) is int and 0 <= place < self._tensors:
                pass
            case [("float", str(text))] if text in _FLOATS:
                pass
            case [("dtype", str(name))] if len(name) <= LONGEST_DTYPE:
                pass
            case _:
                raise ValueError("a node whose tag makes no sense")

    def _all(self, entries: list[Any], depth: int, *, allowed: bool, is_key: bool) -> None:
        if not allowed:
            raise ValueError("a list as a key of a dict")
        for entry in entries:
            self.node(entry, depth + 1, is_key=is_key)
