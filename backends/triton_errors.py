"""What Triton's compiler says of a kernel, with the line of the user's own source.

Bare kernels are compiled ahead, those that a module launches by their first launch. The same errors come both ways;
what a launch itself is refused for (shared memory, say) is none of them.
"""

from __future__ import annotations

import ast
import sys

from kbd.backends.base import CompileFailed

DEEPEST = 100
_PASSES = "PassManager::run failed"


def compile_failure(error: BaseException, source: str) -> CompileFailed | None:
    """The error as one of compiling, if that is what it is; `source` is the user's whole module."""
    try:
        return (
            CompileFailed(_message(error, source), output=str(innermost(error))) if _is_one(error) else None
        )
    except Exception:  # noqa: BLE001 - a class of the user's that pretends to be Triton's
        return None


def _is_one(error: BaseException) -> bool:
    """Nothing is imported: where Triton has not been, none of its errors can come."""
    compilation_error = getattr(sys.modules.get("triton.compiler.errors"), "CompilationError", None)
    if compilation_error is None:
        return False
    kind = type(error)
    return (
        isinstance(error, compilation_error)
        or (kind.__name__ == "PTXASError" and kind.__module__.startswith("triton."))
        or (isinstance(error, RuntimeError) and _PASSES in str(error))
    )


def innermost(error: BaseException) -> BaseException:
    """The error in the function that is wrong, where one function calls another."""
    for _ in range(DEEPEST):
        if error.__cause__ is None or type(error.__cause__).__name__ != type(error).__name__:
            break
        error = error.__cause__
    return error


def _message(error: BaseException, source: str) -> str:
    inner = innermost(error)
    said = getattr(inner, "error_message", None) or _last_line(inner)
    if inner.__cause__ is not None and not getattr(inner, "error_message", None):
        said = f"{type(inner.__cause__).__name__}: {inner.__cause__}"
    line = _line(inner, source)
    return f"line {line}: {said}" if line else str(said)


def _line(error: BaseException, source: str) -> int | None:
    """Triton counts from the function's `def`, whose text is found in the source; indented there, perhaps."""
    node, text = getattr(error, "node", None), getattr(error, "src", None)
    if not isinstance(node, ast.AST) or not hasattr(node, "lineno") or not isinstance(text, str):
        return None
    wanted = [line.strip() for line in text.strip().splitlines()]
    lines = [line.strip() for line in source.splitlines()]
    for begin in range(len(lines) - len(wanted) + 1):
        if wanted and lines[begin : begin + len(wanted)] == wanted:
            return begin + int(node.lineno)
    return None


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
