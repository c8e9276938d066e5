"""Text in colours for a terminal, without rich: importing that takes longer than the rest of `kbd status`.

What the environment says about terminals and colours is understood as rich understands it, so that all commands
look alike.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

Words = Sequence[tuple[str, str]]
"""A text in pieces, each with its style: `("killed", "bold red")`."""

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_STYLES: Final = {"bold": "1", "dim": "2"}
_DUMB: Final = ("dumb", "unknown")
_COLUMNS: Final = 80
_GAP: Final = "  "
ESSENTIAL: Final = 2
"""So many columns of a table are always there."""
_BEFORE_A_WORD: Final = re.compile(r"(?<= )(?=\S)")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        most: longer cells are cut.
        least: cells may be cut down to so much where there is no room; None: they are whole, or not there.
        is_id: cut in the middle, since the ends are what differs.
    """

    title: str
    style: str = ""
    right: bool = False
    most: int | None = None
    least: int | None = None
    is_id: bool = False


@dataclass(frozen=True, slots=True)
class Painter:
    """What one terminal can show."""

    columns: int = _COLUMNS
    styles: bool = True
    colours: bool = True
    rule: str = "─"

    @classmethod
    def of_stdout(cls) -> Self:
        """For the terminal that stdout is, or is taken for."""
        environment = os.environ
        dumb = environment.get("TERM", "").lower() in _DUMB
        wide = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
        return cls(
            columns=_COLUMNS if dumb else _terminal_columns(),
            styles=not dumb,
            colours=not environment.get("NO_COLOR"),
            rule="─" if wide else "-",
        )

    def paint(self, said: str, style: str) -> str:
        """The text in a style such as `bold green`."""
        known = _STYLES | (_COLOURS if self.colours else {})
        codes = [known[name] for name in style.split() if name in known]
        if not (self.styles and codes and said):
            return said
        return f"\x1b[{';'.join(codes)}m{said}\x1b[0m"

    def fold(self, words: Words, indent: int) -> str:
        """One text, broken between words where it is too long; what follows begins after `indent` blanks."""
        folded, column = "", 0
        for said, style in words:
            line = ""
            for word in _BEFORE_A_WORD.split(said):
                if column > indent and column + width(word.rstrip()) > self.columns:
                    folded += f"{self.paint(line.rstrip(), style)}\n{' ' * indent}"
                    line, column = "", indent
                line += word
                column += width(word)
            folded += self.paint(line, style)
        return folded

    def table(self, columns: Sequence[Column], rows: Sequence[Words]) -> Iterator[str]:
        """Titles, a rule, a line for each row.

        Where there is no room, columns that would not fit even when cut are left out, from the right, and what may
        be cut of the others is cut, from the right too. The first two stay.
        """
        widths = self._widths(columns, rows)
        titles = [(column.title, "bold") for column in columns]
        yield self._row(columns, widths, titles)
        yield self.rule * _together(widths)
        for row in rows:
            yield self._row(columns, widths, row)

    def _widths(self, columns: Sequence[Column], rows: Sequence[Words]) -> list[int]:
        """As wide as what they hold, and narrower where they must; fewer than there are columns where some go."""
        widths = [
            min(column.most or self.columns, max(width(column.title), *(width(said) for said, _ in cells)))
            for column, cells in zip(columns, zip(*rows, strict=True), strict=True)
        ]
        while widths[-1] == 0 or (len(widths) > ESSENTIAL and self._excess(_narrowest(columns, widths)) > 0):
            widths.pop()
        for place in reversed(range(len(widths))):
            least = _narrowest(columns, widths)[place]
            widths[place] = max(least, widths[place] - max(0, self._excess(widths)))
        widths[0] = max(1, widths[0] - max(0, self._excess(widths)))
        return widths

    def _excess(self, widths: Sequence[int]) -> int:
        return _together(widths) - self.columns

    def _row(self, columns: Sequence[Column], widths: Sequence[int], row: Words) -> str:
        line = ""
        for column, room, (said, style) in zip(columns, widths, row, strict=False):
            shown = cut_middle(said, room) if column.is_id else cut(said, room)
            blanks = " " * (room - width(shown))
            shown = self.paint(shown, style or column.style)
            line += (blanks + shown if column.right else shown + blanks) + _GAP
        return line.rstrip(" ")


def is_terminal() -> bool:
    """Whether stdout is one, or is to be taken for one."""
    compatible = os.environ.get("TTY_COMPATIBLE")
    if compatible in ("0", "1"):
        return compatible == "1"
    forced = os.environ.get("FORCE_COLOR")
    return sys.stdout.isatty() if forced is None else forced != ""


def width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of, text))


def cut(text: str, room: int) -> str:
    """The text, or as much of its beginning as fits, and an ellipsis."""
    if width(text) <= room:
        return text
    kept, used = "", 1
    for character in text:
        used += _columns_of(character)
        if used > room:
            break
        kept += character
    return f"{kept.rstrip()}…"


def cut_middle(text: str, room: int) -> str:
    """The text, or its beginning and its end."""
    if len(text) <= room:
        return text
    end = (room - 1) // 2
    return f"{text[: room - 1 - end]}…{text[len(text) - end :]}"


def _narrowest(columns: Sequence[Column], widths: Sequence[int]) -> list[int]:
    return [
        own if column.least is None else min(own, column.least)
        for column, own in zip(columns, widths, strict=False)
    ]


def _together(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _columns_of(character: str) -> int:
    from unicodedata import category, east_asian_width

    if category(character) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(character) in ("W", "F") else 1


def _terminal_columns() -> int:
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    for descriptor in (1, 2, 0):
        try:
            return os.get_terminal_size(descriptor).columns or _COLUMNS
        except OSError:
            continue
    return _COLUMNS
