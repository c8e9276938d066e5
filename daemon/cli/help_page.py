"""What `--help` prints: usage, prose, and a frame around each list, in colours where these are seen.

Without rich, which takes longer to import than all of `kbd --help` may last: see docs/decisions/0018.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import click

WIDEST: Final = 100
NARROWEST: Final = 40
TERM_COLUMNS: Final = 30
"""A longer term stands on a line of its own."""
_SHORT_FLAG: Final = re.compile(r"-\w, --")
_FLAG: Final = re.compile(r"(?<!\S)--?[\w-]+")
_CODE: Final = re.compile(r"`[^`]+`")
_CODE_OR_REMARK: Final = re.compile(rf"{_CODE.pattern}|\[[^\]]+\]$")


class HelpPage(click.HelpFormatter):
    """Formats what click knows about a command."""

    def __init__(self) -> None:
        import shutil

        super().__init__(width=max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns)))
        self._heading = ""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """One line; click gives it to messages about usage as well."""
        del prefix
        said = click.wrap_text(f"{prog} {args}", self.width, "Usage: ", " " * len(f"Usage: {prog} "))
        head, _, rest = said.partition(prog)
        name, usage = click.style(prog, bold=True), click.style("Usage:", fg="yellow")
        self.write(f"{head.replace('Usage:', usage)}{name}{rest}\n")

    def write_text(self, text: str) -> None:
        """Prose."""
        self.write(_with_code(click.wrap_text(text, self.width, preserve_paragraphs=True)))
        self.write("\n")

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """The name of the frame that follows."""
        self.write("\n" if self._heading == "" else "")
        self._heading = name
        yield

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """A frame around terms and what they mean."""
        del col_max
        rows = list(rows)
        if any(_SHORT_FLAG.match(term) for term, _ in rows):
            rows = [(term if not term.startswith("--") else f"    {term}", said) for term, said in rows]
        room = self.width - 4
        indent = min(max(len(term) for term, _ in rows), TERM_COLUMNS, room // 2) + col_spacing
        self.write(self._dim(f"╭─ {self._heading} ".ljust(self.width - 1, "─") + "╮") + "\n")
        for row in rows:
            for line in _row(*row, indent, room):
                blanks = " " * (room - len(click.unstyle(line)))
                self.write(f"{self._dim('│')} {line}{blanks} {self._dim('│')}\n")
        self.write(self._dim(f"╰{'─' * (self.width - 2)}╯") + "\n")

    @staticmethod
    def _dim(text: str) -> str:
        return click.style(text, dim=True)


class PageContext(click.Context):
    """The context of all commands of kbd."""

    formatter_class = HelpPage

    def make_formatter(self) -> HelpPage:
        """As wide as the terminal."""
        return HelpPage()


class PageCommand(click.Command):
    """A command of kbd."""

    context_class = PageContext


class PageGroup(click.Group):
    """A command of kbd that has others below it."""

    context_class = PageContext
    command_class = PageCommand


def _row(term: str, said: str, indent: int, room: int) -> Iterator[str]:
    lines = _meaning(said, room - indent)
    if len(term) > indent - 2:
        yield from (_with_flags(line) for line in click.wrap_text(term, room, "", "  ").split("\n"))
    else:
        yield _with_flags(term) + " " * (indent - len(term)) + lines.pop(0)
    yield from (" " * indent + line for line in lines)


def _meaning(said: str, columns: int) -> list[str]:
    """Folded, with the code and the remark (defaults, ranges) in their colours."""
    folded = click.wrap_text(said, columns)
    return _CODE_OR_REMARK.sub(lambda found: _coloured(found[0]), folded).split("\n")


def _coloured(text: str) -> str:
    """A style ends with its line: what frames the lines has another."""
    style = partial(click.style, fg="cyan") if text.startswith("`") else partial(click.style, dim=True)
    return "\n".join(style(line) for line in text.split("\n"))


def _with_flags(term: str) -> str:
    if not term.lstrip().startswith("-"):
        return click.style(term, fg="cyan", bold=True)
    return _FLAG.sub(lambda found: click.style(found[0], fg="cyan", bold=True), term)


def _with_code(text: str) -> str:
    return _CODE.sub(lambda found: _coloured(found[0]), text)
