"""`kbd pause`: let the daemon start nothing more for now."""

import sys

import click

from kbd.daemon.cli.asking import reason_option, timeout_option
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options


@click.command("pause", cls=PageCommand)
@place_options
@reason_option
@timeout_option
def command(place: Place, reason: str | None, timeout_s: float) -> None:
    """Claim and start no more jobs; what runs goes on to its end.

    Jobs may be submitted meanwhile. The pause holds, also for a daemon that is started later, until `kbd resume`.
    """
    from kbd.daemon.cli.asking import Asking, report, request_for

    answers = Asking(place, timeout_s).answers([request_for("pause", reason=reason)])
    sys.exit(report(answers, lambda answer: answer.message))
