"""Watching: what is drawn follows what is so, and Ctrl-C ends it well."""

import io

import click
import pytest
from rich.console import Console

from kbd.daemon.cli.status_watch import watch
from kbd.inbox.rhythm import Rhythm


def rounds(number):
    """A pause that lets so many pictures be drawn, then is interrupted."""
    left = [number]

    def pause(_seconds):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    return Rhythm(pause=pause)


def test_every_picture_is_drawn_in_place():
    screen = io.StringIO()
    drawn = iter(["first", "second", "third"])
    watch(lambda: next(drawn), Console(file=screen, force_terminal=True, width=40), rounds(2))
    text = screen.getvalue()
    assert text.index("first") < text.index("second") < text.index("third")
    assert "\x1b[2K" in text, "a line is erased before it is drawn anew"


def test_off_a_terminal_nothing_moves():
    with pytest.raises(click.UsageError, match="needs a terminal"):
        watch(lambda: "never", Console(file=io.StringIO()))
