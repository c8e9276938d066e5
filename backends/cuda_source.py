"""What CUDA C++ says about its kernels: their parameters, read carefully enough for messages and for sizes.

Names that the source itself gives to types (`typedef`, `using`, `#define`) are followed. The compiler has the last
word: a type that is not recognised (a template parameter, a type of some header) is taken from the symbol that it
made. Where that says nothing either (`extern "C"`), the argument is passed as the contract says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from kbd.inbox.kernel_source import plain_cpp

_QUALIFIERS = re.compile(
    r"\b(?:const|volatile|restrict|__restrict__|__restrict|__grid_constant__|register|struct|std::)\b|std::"
)
_SIGNATURE_CHARACTERS = 8_000

_TYPE_NAMES = (
    re.compile(r"\btypedef\s+(?P<type>[\w:\s]+?[\s*]+)(?P<name>\w+)\s*;"),
    re.compile(r"\busing\s+(?P<name>\w+)\s*=\s*(?P<type>[\w:\s]+?[\s*]*);"),
    re.compile(
        r"^[ \t]*#[ \t]*define[ \t]+(?P<name>\w+)[ \t]+(?P<type>[A-Za-z_][\w: \t]*[\t *]*)$", re.MULTILINE
    ),
)
_LONGEST_CHAIN = 8

# C type -> (the ctypes name it is passed as). `long` has 64 bits wherever CUDA runs on Linux.
SCALARS = {
    **dict.fromkeys(("int", "signed", "signed int", "int32_t"), "c_int32"),
    **dict.fromkeys(("unsigned", "unsigned int", "uint", "uint32_t"), "c_uint32"),
    **dict.fromkeys(
        ("long", "long int", "long long", "long long int", "int64_t", "ptrdiff_t", "ssize_t"), "c_int64"
    ),
    **dict.fromkeys(
        (
            "unsigned long",
            "unsigned long int",
            "unsigned long long",
            "unsigned long long int",
            "uint64_t",
            "size_t",
        ),
        "c_uint64",
    ),
    **dict.fromkeys(("short", "short int", "int16_t"), "c_int16"),
    **dict.fromkeys(("unsigned short", "unsigned short int", "ushort", "uint16_t"), "c_uint16"),
    **dict.fromkeys(("char", "signed char", "int8_t"), "c_int8"),
    **dict.fromkeys(("unsigned char", "uchar", "uint8_t"), "c_uint8"),
    "bool": "c_bool",
    "float": "c_float",
    "double": "c_double",
    **dict.fromkeys(("half", "__half"), "half"),
    **dict.fromkeys(("nv_bfloat16", "__nv_bfloat16"), "bfloat16"),
}
_FLOATING = {"c_double": 8, "c_float": 4, "half": 2, "bfloat16": 2}


@dataclass(frozen=True)
class CudaParameter:
    """One parameter: its type as far as it is known. `passed_as` is None for types that only the compiler knows."""

    text: str
    is_pointer: bool
    passed_as: str | None

    @property
    def floating_bytes(self) -> int | None:
        """Size of the floating-point numbers it points to; None for everything else."""
        return _FLOATING.get(self.passed_as or "") if self.is_pointer else None


def parameters_of(source: str, name: str) -> tuple[CudaParameter, ...] | None:
    """The parameters of the `__global__` function `name`; None where they cannot be read."""
    text = plain_cpp(source)
    for found in re.finditer(r"__global__", text):
        signature = text[found.end() : found.end() + _SIGNATURE_CHARACTERS]
        match = re.match(rf"[^({{;]*?\b{re.escape(name)}\s*\(", signature)
        if match:
            inside = _balanced(signature[match.end() :])
            names = type_names(text)
            return None if inside is None else tuple(_parameter(entry, names) for entry in _split(inside))
    return None


def type_names(text: str) -> dict[str, str]:
    """Names that C++ without comments gives to types, and what they stand for; none that has two meanings."""
    found: dict[str, set[str]] = {}
    for pattern in _TYPE_NAMES:
        for match in pattern.finditer(text):
            found.setdefault(match["name"], set()).add(" ".join(match["type"].split()))
    return {name: meanings.pop() for name, meanings in found.items() if len(meanings) == 1}


def resolved(parameters: Sequence[CudaParameter] | None, symbol: str) -> Sequence[CudaParameter] | None:
    """The parameters with types that only the compiler knew, from its symbol, demangled."""
    inside = _last_brackets(symbol)
    if inside is None:
        return parameters
    compiled = [_parameter(entry) for entry in _split(inside)]
    if parameters is None:
        return compiled
    if len(parameters) != len(compiled):
        return parameters
    return [
        replace(known, text=written.text) if written.passed_as is None else written
        for written, known in zip(parameters, compiled, strict=True)
    ]


def _last_brackets(text: str) -> str | None:
    """What the parentheses at the end of a text enclose."""
    if not text.endswith(")"):
        return None
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if depth == 0:
            return text[place + 1 : -1]
    return None


def _balanced(text: str) -> str | None:
    """Up to the parenthesis that closes the one before the text."""
    depth = 1
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return text[:place]
    return None


def _split(text: str) -> list[str]:
    """At the commas that separate parameters, not at those within brackets."""
    parts, depth, begin = [], 0, 0
    for place, character in enumerate(text):
        depth += {"(": 1, "<": 1, "[": 1, ")": -1, ">": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
    parts.append(text[begin:])
    return [part for part in parts if part.strip() not in ("", "void")]


def _parameter(text: str, names: Mapping[str, str] = MappingProxyType({})) -> CudaParameter:
    written = " ".join(text.split("=")[0].split())
    plain = _expanded(written, names)
    plain = " ".join(_QUALIFIERS.sub(" ", plain).split())
    is_pointer = "*" in plain or plain.endswith("]")
    words = re.sub(r"\[[^\]]*\]", " ", plain).replace("*", " ").replace("&", " ").split()
    for length in (len(words), len(words) - 1):
        if passed_as := SCALARS.get(" ".join(words[:length])):
            return CudaParameter(written, is_pointer, passed_as)
    return CudaParameter(written, is_pointer, None)


def _expanded(text: str, names: Mapping[str, str]) -> str:
    """With every name of a type replaced by what it stands for. A name for itself stays what it is."""
    for _ in range(_LONGEST_CHAIN):
        expanded = re.sub(r"[A-Za-z_]\w*", lambda word: names.get(word[0], word[0]), text)
        if expanded == text or len(expanded) > _SIGNATURE_CHARACTERS:
            break
        text = expanded
    return text
