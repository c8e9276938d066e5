"""What a candidate's text gives rise to ask. These are notes for people; they decide nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator

MAX_SOURCE_CHARS = 1 << 18
PEEKING = frozenset(
    {"sys._getframe", "inspect.stack", "inspect.currentframe", "gc.get_objects", "gc.get_referrers"}
)
CLOCKS = frozenset(
    {
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.monotonic",
        "torch.cuda.Event",
        "torch.cuda.synchronize",
    }
)


def notes_on(source: str) -> tuple[str, ...]:
    """Remarks on a Python source, each once, with the line; none where it is no Python or too long."""
    if len(source) > MAX_SOURCE_CHARS:
        return ()
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(dict.fromkeys(note for node in nodes for note in _notes(node)))


def _notes(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Try(handlers=handlers) if any(map(_answers, handlers)):
            yield (
                f"line {node.lineno}: the candidate falls back to other code when something fails; "
                "which of the two was judged is not known"
            )
        case ast.Attribute() if (name := _dotted(node)) in PEEKING:
            yield f"line {node.lineno}: the candidate uses {name}"
        case ast.Assign(targets=targets):
            for name in filter(CLOCKS.__contains__, map(_dotted, targets)):
                yield f"line {node.lineno}: the candidate replaces {name}"


def _answers(handler: ast.ExceptHandler) -> bool:
    """Whether it goes on with a computation, in place of raising."""
    inside = [node for statement in handler.body for node in ast.walk(statement)]
    returns = any(isinstance(node, ast.Return) and node.value is not None for node in inside)
    return returns and any(isinstance(node, ast.Call) for node in inside)


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute of a name, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""
