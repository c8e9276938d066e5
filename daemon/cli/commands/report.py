"""`kbd report`: jobs, their timings and their history as one HTML file."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options
from kbd.daemon.cli.status_options import filter_options

if TYPE_CHECKING:
    from kbd.daemon.cli.report.reported_jobs import Reported
    from kbd.store.job_filter import JobFilter


@click.command("report", cls=PageCommand)
@place_options
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    required=True,
    metavar="FILE",
    help="Where the page goes; one that is there is replaced. -: stdout.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=200,
    metavar="N",
    help="How many of the latest jobs to tell of.",
)
@click.option(
    "--by",
    metavar="KEY",
    help="Group the history by this label. Default: the label kernel, else kernel names.",
)
@click.option("--title", default="Kernel report", metavar="TEXT", help="The heading of the page.")
@filter_options
def command(
    place: Place,
    job_ids: tuple[str, ...],
    output: Path,
    limit: int,
    by: str | None,
    title: str,
    wanted: "JobFilter",
) -> None:
    """Write a report of the latest jobs, or of the jobs named, as one HTML file.

    The file holds all it needs and asks the network for nothing: it can be mailed, archived and printed. It has
    a table of the jobs, the distribution of their timing samples, the history of speed-ups, and what they ran on.
    Results that cannot be read are named in it and on stderr, and the command ends with 74.
    """
    from importlib.metadata import version

    from kbd.daemon.cli.printable import one_line
    from kbd.daemon.cli.report.page import Heading, render
    from kbd.daemon.cli.report.reported_jobs import reported_jobs
    from kbd.daemon.cli.wording import counted

    reported = reported_jobs(place, job_ids, wanted, limit)
    selection = "the jobs named" if job_ids else f"the latest {counted(len(reported.jobs), 'job')}"
    heading = Heading(title, str(place.spool_root), selection, time.time(), version("kbd"))
    page = render(reported, heading, label=by)
    if str(output) == "-":
        click.echo(page, nl=False)
    else:
        _write(output, page)
        click.echo(f"{output}: {_told_of(reported)}", err=True)
    for result in reported.damaged:
        click.echo(f"left out: {one_line(f'{result.path}: {result.why}')}", err=True)
    if reported.damaged:
        sys.exit(ExitCode.UNUSABLE)


def _told_of(reported: "Reported") -> str:
    """`2 jobs; 1 has no result yet`."""
    from kbd.daemon.cli.wording import counted

    parts = [counted(len(reported.jobs), "job")]
    if reported.unfinished:
        parts.append(f"{reported.unfinished} {_have(reported.unfinished)} no result yet")
    if reported.damaged:
        parts.append(f"{len(reported.damaged)} {_have(len(reported.damaged))} one that cannot be read")
    return "; ".join(parts)


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _write(output: Path, page: str) -> None:
    """Whole or not at all: a reader never meets half a page."""
    beside = output.with_name(f".{output.name}.tmp")
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
