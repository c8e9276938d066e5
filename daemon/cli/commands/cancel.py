"""`kbd cancel`: end jobs, wherever they are on their way."""

import sys

import click

from kbd.daemon.cli.asking import reason_option, timeout_option
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.job_completion import unfinished_job
from kbd.daemon.cli.place import Place, place_options


@click.command("cancel", cls=PageCommand)
@place_options
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True, shell_complete=unfinished_job)
@reason_option
@timeout_option
def command(place: Place, job_ids: tuple[str, ...], reason: str | None, timeout_s: float) -> None:
    """Cancel jobs: one that waits never starts, one that runs is killed at once.

    Their results say `cancelled`, and by whom. A job that has ended keeps its result, and this command says which.
    It ends with 3 for an unknown id and with 4 when no daemon works on the spool.
    """
    from kbd.daemon.cli.asking import Asking, report, request_for

    requests = [request_for("cancel", job_id, reason) for job_id in dict.fromkeys(job_ids)]
    sys.exit(report(Asking(place, timeout_s).answers(requests), lambda answer: answer.message))
