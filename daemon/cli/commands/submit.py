"""`kbd submit`: check jobs, and put them into the inbox."""

import sys
from pathlib import Path

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options


@click.command("submit", cls=PageCommand)
@place_options
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
)
@click.option(
    "--ref",
    "reference",
    metavar="REF.py",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A KernelBench reference; each FILE is then the module of a candidate, and a job of its own.",
)
@click.option(
    "--id", "job_id", metavar="ID", help="With --ref or -: the job's id. Default: from the file or text."
)
@click.option("--wait", is_flag=True, help="Wait, and print a verdict line for each job in place of its id.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0), help="With --wait: seconds at most.", metavar="S"
)
def command(
    place: Place,
    files: tuple[Path, ...],
    reference: Path | None,
    job_id: str | None,
    timeout_s: float | None,
    *,
    wait: bool,
) -> None:
    """Check jobs and put them into the inbox; print their ids.

    A FILE is a manifest (.yaml, .yml, .json), a folder NAME.job with a job.yaml or a reference.py and a candidate,
    another folder for all jobs that lie in it, or - for a manifest on stdin. All of them are checked first: if one
    is no valid job, every problem is shown, nothing is submitted, and the command ends with 6. With --wait it ends
    as `kbd wait` does.
    """
    from kbd.daemon.cli.job_sources import job_sources
    from kbd.daemon.cli.submission import deliver_all, read_submissions, require_free_ids

    if timeout_s is not None and not wait:
        raise click.UsageError("--timeout says how long to wait: give --wait as well")
    place.spool()
    with job_sources(files, reference, job_id) as sources:
        submissions = read_submissions(sources)
        require_free_ids(place, submissions)
        for delivered in deliver_all(place, submissions):
            click.echo(f"submitted {delivered}" if wait else delivered, err=wait)
    if not wait:
        _tell_if_nobody_takes_them(place)
    if wait:
        from kbd.daemon.cli.verdict_stream import print_verdicts

        digests = {entry.job_id: entry.sha256 for entry in submissions}
        sys.exit(print_verdicts(place, list(digests), timeout_s=timeout_s, digests=digests))


def _tell_if_nobody_takes_them(place: Place) -> None:
    """Only where it is certain; who hands in from another host finds out by waiting."""
    from kbd.daemon.cli.presence import DaemonWatch, Presence

    if DaemonWatch(place).look().presence is Presence.ABSENT:
        click.echo(f"No daemon works on this spool yet. Start one: kbd run{place.spool_flag}", err=True)
