"""`kbd wait`: be told when jobs are done."""

import sys

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.job_completion import any_job
from kbd.daemon.cli.place import Place, place_options


@click.command("wait", cls=PageCommand)
@place_options
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True, shell_complete=any_job)
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0), help="Seconds to wait at most.", metavar="S"
)
def command(place: Place, job_ids: tuple[str, ...], timeout_s: float | None) -> None:
    """Wait for jobs and print one verdict line for each.

    Ends with 0 if all passed, 1 if one did not, 6 if one was no valid job, 5 when the time is over, 3 for an
    unknown id, and with 4 at once when no daemon works on the spool. A file that declares an id is the job of that
    id, whatever its name is: who waits for the name is told so, and it ends with 3.
    """
    from kbd.daemon.cli.known_jobs import require_known
    from kbd.daemon.cli.verdict_stream import print_verdicts

    require_known(place, job_ids)
    sys.exit(print_verdicts(place, job_ids, timeout_s=timeout_s))
