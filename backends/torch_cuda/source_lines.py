"""Lines of C++ and CUDA that compilers report by their place in the user's own Python file.

A text that stands in the module as a literal is prefixed with a `#line` directive (C++ [cpp.line]), so that every
message of every compiler names the module and the line in it. A text that was put together at run time is named by
the argument that it came in.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence


class SourceLines:
    """Finds texts in a Python module."""

    def __init__(self, source: str, file_name: str) -> None:
        self._file_name = file_name
        self._literals = _literals(source)

    def marked(self, texts: Sequence[str], argument: str) -> list[str]:
        """The texts, each after a directive that says where its first line is."""
        return [
            f"{self._directive(text, f'{argument}[{index}]')}\n{text}" for index, text in enumerate(texts)
        ]

    def _directive(self, text: str, otherwise: str) -> str:
        for line, literal in self._literals:
            start = literal.find(text)
            if start >= 0:
                return f'#line {line + literal.count(chr(10), 0, start)} "{self._file_name}"'
        return f'#line 1 "{otherwise}"'


def _literals(source: str) -> list[tuple[int, str]]:
    """Every text of the module with the line where it begins, longest first: `""` is part of everything."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines = source.splitlines()
    found = [
        (node.lineno + lines[node.lineno - 1].endswith("\\"), node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return sorted(found, key=lambda literal: -len(literal[1]))
