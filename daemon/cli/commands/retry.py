"""`kbd retry`: judge finished jobs once more."""

import sys

import click

from kbd.daemon.cli.asking import timeout_option
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.job_completion import finished_job
from kbd.daemon.cli.place import Place, place_options


@click.command("retry", cls=PageCommand)
@place_options
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True, shell_complete=finished_job)
@timeout_option
def command(place: Place, job_ids: tuple[str, ...], timeout_s: float) -> None:
    """Judge finished jobs once more, each under a new id; print the new ids.

    The id of a job has one result for good, so the same job is delivered again as ID.r1 (then ID.r2, …). A job
    that waits after a failed attempt keeps its id and is tried again at once. Faults of the device or of kbd are
    tried again without being asked. It ends with 6 for a job that has no result yet or was no valid job.
    """
    from kbd.daemon.cli.asking import Asking, report, request_for

    requests = [request_for("retry", job_id) for job_id in dict.fromkeys(job_ids)]
    sys.exit(report(Asking(place, timeout_s).answers(requests), lambda answer: answer.job_id or ""))
