"""`kbd rerun`: judge a finished job once more on the same inputs."""

import sys

import click

from kbd.daemon.cli.asking import timeout_option
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.job_completion import finished_job
from kbd.daemon.cli.place import Place, place_options


@click.command("rerun", cls=PageCommand)
@place_options
@click.argument("job_id", metavar="ID", shell_complete=finished_job)
@click.option(
    "--seed",
    type=click.IntRange(0, (1 << 63) - 1),
    metavar="N",
    help="Other inputs than those of the result.",
)
@timeout_option
def command(place: Place, job_id: str, seed: int | None, timeout_s: float) -> None:
    """Judge a finished job once more on the same inputs, under a new id; print the new id.

    A result tells the seed that its inputs were drawn from, which was secret until then. The job is delivered
    again as ID.r1 (then ID.r2, …) with that seed, or with the one that --seed gives, so that what a result says
    can be seen again. `kbd retry` judges on fresh inputs. It ends with 6 for a job that has no result yet, was no
    valid job, or ended before any inputs were drawn.
    """
    from kbd.daemon.cli.asking import Asking, report, request_for

    requests = [request_for("rerun", job_id, seed=seed)]
    sys.exit(report(Asking(place, timeout_s).answers(requests), lambda answer: answer.job_id or ""))
