"""The two streams of a command: results go to stdout, everything said about them to stderr."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_COLUMNS: Final = 120
"""The width for what is read by a file or a program; lines of text are not folded there at all."""


def results() -> "Console":
    """Stdout: coloured on a terminal, plain elsewhere (NO_COLOR and FORCE_COLOR are obeyed)."""
    return _console(stderr=False)


def messages() -> "Console":
    """Stderr, where people read and scripts do not."""
    return _console(stderr=True)


def ruled_table() -> "Table":
    """A table for a terminal: titles, a rule beneath them, nothing else; columns two blanks apart."""
    from rich import box
    from rich.table import Table

    return Table(
        box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False
    )


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_COLUMNS
    return console
