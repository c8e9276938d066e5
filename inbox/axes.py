"""Sizes written as expressions over named axes, such as `ceildiv(N, BLOCK_SIZE) * 2`.

::

    expression = term { ("+" | "-") term }
    term       = factor { ("*" | "//" | "%") factor }
    factor     = ["-" | "+"] ( integer | name | call | "(" expression ")" )
    call       = function "(" expression { "," expression } ")"
    function   = "min" | "max" | "ceildiv"

Division and remainder round towards minus infinity, as in Python. Nothing is ever given to `eval`.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from kbd.inbox.errors import InboxError

MAX_LENGTH = 256
MAX_DEPTH = 32
MAX_MAGNITUDE = (1 << 63) - 1

NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What an axis may be called."""

_TOKEN = re.compile(
    r"\s*(?:(?P<int>[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>//|[-+*%(),])|(?P<end>\Z))"
)


class AxisError(InboxError):
    """An expression that cannot be read or has no value; `column` counts from 1."""

    def __init__(self, message: str, column: int | None = None) -> None:
        super().__init__(message if column is None else f"column {column}: {message}")
        self.column = column


@dataclass(frozen=True, slots=True)
class AxisExpression:
    """A parsed expression: its text, the axes it needs, and its value once they are known."""

    text: str
    names: frozenset[str]
    _root: "_Node"

    @classmethod
    @functools.lru_cache(maxsize=1024)  # a contract is bound once for each workload
    def parse(cls, text: str) -> Self:
        """Read an expression. Raises AxisError, which names the column."""
        if len(text) > MAX_LENGTH:
            raise AxisError(f"expected at most {MAX_LENGTH} characters, found {len(text)}")
        parser = _Parser(text)
        root = parser.parse()
        return cls(text, frozenset(parser.names), root)

    def evaluate(self, bindings: Mapping[str, int]) -> int:
        """The value under the bindings. Raises AxisError: unbound axis, division by zero, beyond 64 bits."""
        return _evaluate(self._root, bindings)


@dataclass(frozen=True, slots=True)
class _Literal:
    value: int


@dataclass(frozen=True, slots=True)
class _Name:
    name: str
    column: int


@dataclass(frozen=True, slots=True)
class _Call:
    function: str
    arguments: tuple["_Node", ...]
    column: int


_Node = _Literal | _Name | _Call


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


_OPERATIONS: dict[str, Callable[..., int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
    "min": min,
    "max": max,
    "ceildiv": lambda left, right: -(-left // right),
}
_PRECEDENCE = (frozenset("+-"), frozenset(("*", "//", "%")))
_FUNCTIONS = ("min", "max", "ceildiv")


class _Parser:
    """Recursive descent over the grammar in the module's docstring."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0
        self._depth = 0
        self.names: set[str] = set()

    def parse(self) -> _Node:
        root = self._binary(0)
        if self._next.kind != "end":
            raise self._unexpected("an operator or the end")
        return root

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _advance(self) -> _Token:
        token = self._next
        self._position += 1
        return token

    def _binary(self, level: int) -> _Node:
        if level == len(_PRECEDENCE):
            return self._factor()
        left = self._binary(level + 1)
        while self._next.text in _PRECEDENCE[level]:
            sign = self._advance()
            left = _Call(sign.text, (left, self._binary(level + 1)), sign.column)
        return left

    def _factor(self) -> _Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise AxisError(f"nested more than {MAX_DEPTH} levels deep", self._next.column)
        node = self._signed() if self._next.text in ("+", "-") else self._atom()
        self._depth -= 1
        return node

    def _signed(self) -> _Node:
        sign = self._advance()
        return _Call(sign.text, (_Literal(0), self._factor()), sign.column)

    def _atom(self) -> _Node:
        token = self._next
        if token.kind == "int":
            return _Literal(_bounded(int(self._advance().text), token.column))
        if token.kind == "name":
            self._advance()
            return self._call(token) if self._next.text == "(" else self._named(token)
        if token.text == "(":
            self._advance()
            node = self._binary(0)
            self._expect(")")
            return node
        raise self._unexpected("a number, an axis or '('")

    def _named(self, token: _Token) -> _Node:
        if token.text in _FUNCTIONS:
            raise AxisError(f"{token.text} is a function; expected '(' after it", token.column)
        if not NAME_PATTERN.fullmatch(token.text):
            raise AxisError("the name of an axis has at most 64 characters", token.column)
        self.names.add(token.text)
        return _Name(token.text, token.column)

    def _call(self, token: _Token) -> _Node:
        if token.text not in _FUNCTIONS:
            raise AxisError(f"unknown function {token.text}; expected min, max or ceildiv", token.column)
        self._expect("(")
        arguments = [self._binary(0)]
        while self._next.text == ",":
            self._advance()
            arguments.append(self._binary(0))
        self._expect(")")
        if len(arguments) < 2 or (token.text == "ceildiv" and len(arguments) != 2):
            wanted = "2 arguments" if token.text == "ceildiv" else "at least 2 arguments"
            raise AxisError(f"{token.text} takes {wanted}, found {len(arguments)}", token.column)
        return _Call(token.text, tuple(arguments), token.column)

    def _expect(self, text: str) -> None:
        if self._next.text != text:
            raise self._unexpected(f"{text!r}")
        self._advance()

    def _unexpected(self, expected: str) -> AxisError:
        token = self._next
        found = "the end" if token.kind == "end" else repr(token.text)
        return AxisError(f"expected {expected}, found {found}", token.column)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _bad_character(text, position)
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        position = match.end()
    return tokens


def _bad_character(text: str, position: int) -> AxisError:
    rest = text[position:]
    column = position + len(rest) - len(rest.lstrip()) + 1
    character = text[column - 1]
    hint = "; divide with // or ceildiv(a, b)" if character == "/" else ""
    return AxisError(f"unexpected character {character!r}{hint}", column)


def _evaluate(node: _Node, bindings: Mapping[str, int]) -> int:
    if isinstance(node, _Literal):
        return node.value
    if isinstance(node, _Name):
        if node.name not in bindings:
            raise AxisError(f"axis {node.name} is not bound", node.column)
        return _bounded(bindings[node.name], node.column)
    values = [_evaluate(argument, bindings) for argument in node.arguments]
    try:
        return _bounded(_OPERATIONS[node.function](*values), node.column)
    except ZeroDivisionError:
        raise AxisError("division by zero", node.column) from None


def _bounded(value: int, column: int) -> int:
    if abs(value) > MAX_MAGNITUDE:
        raise AxisError("the value does not fit 64 bits", column)
    return value
