"""`kbd resume`: the end of a pause."""

import sys

import click

from kbd.daemon.cli.asking import timeout_option
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options


@click.command("resume", cls=PageCommand)
@place_options
@timeout_option
def command(place: Place, timeout_s: float) -> None:
    """Go on after `kbd pause`, or take `kbd drain` back."""
    from kbd.daemon.cli.asking import Asking, report, request_for

    answers = Asking(place, timeout_s).answers([request_for("resume")])
    sys.exit(report(answers, lambda answer: answer.message))
