"""`kbd status --watch`: the report again and again, in place."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from kbd.inbox.rhythm import Rhythm

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

REFRESH_S: Final = 1.0


def watch(draw: "Callable[[], RenderableType]", console: "Console", rhythm: Rhythm | None = None) -> None:
    """Show what `draw` makes until somebody presses Ctrl-C, which is no error here."""
    if not console.is_terminal:
        raise click.UsageError(
            "--watch needs a terminal. In a script use `kbd wait`, or `kbd status --format jsonl` now and then"
        )
    from rich.live import Live

    rhythm = rhythm or Rhythm()
    try:
        with Live(draw(), console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                rhythm.pause(REFRESH_S)
                live.update(draw(), refresh=True)
    except KeyboardInterrupt:
        return
