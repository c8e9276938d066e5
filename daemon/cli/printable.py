"""Texts of users on somebody's terminal: shown, never obeyed.

A kernel's output may hold escape sequences that move the cursor, change the title, or write to the clipboard;
and characters that reverse the reading direction, so that a line reads as something else than it is.
"""

import re
import unicodedata
from typing import Final

_LINE_ENDS: Final = re.compile(r"\r\n|\r(?!\n)")
_KEPT: Final = frozenset("\n\t")
_HARMFUL: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: controls, formats (bidirectional marks), surrogates, private, unassigned, separators."""


def printable(text: str) -> str:
    r"""The text with every character that a terminal would obey written as its escape, such as `\x1b`.

    Newlines and tabs stay; a carriage return becomes a newline, so that nothing written is overwritten.
    """
    text = _LINE_ENDS.sub("\n", text)
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(_shown(character) for character in text)


def one_line(text: str) -> str:
    """The same on one line, with runs of white space made one space."""
    return " ".join(printable(text).split())


def _shown(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _HARMFUL:
        return character
    return character.encode("unicode_escape").decode("ascii")
