"""`kbd drain`: let the daemon end when it has done what it has taken."""

import sys

import click

from kbd.daemon.cli.asking import reason_option, timeout_option
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options


@click.command("drain", cls=PageCommand)
@place_options
@reason_option
@timeout_option
def command(place: Place, reason: str | None, timeout_s: float) -> None:
    """Claim no more jobs, finish all that are queued, then end the daemon with status 0.

    What lies in the inbox stays there for the next daemon. While it is paused, nothing queued is started: then
    it ends after the jobs that run. (To end it after those without a pause, send it SIGTERM.) The command does
    not wait for the end; `kbd resume` takes it back.
    """
    from kbd.daemon.cli.asking import Asking, report, request_for

    answers = Asking(place, timeout_s).answers([request_for("drain", reason=reason)])
    sys.exit(report(answers, lambda answer: answer.message))
