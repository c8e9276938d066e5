"""`kbd status`: what is going on."""

import json
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.job_completion import any_job
from kbd.daemon.cli.place import Place, place_options
from kbd.daemon.cli.status_options import filter_options

if TYPE_CHECKING:
    from kbd.store.job_filter import JobFilter


@click.command("status", cls=PageCommand)
@place_options
@click.argument("job_ids", metavar="[ID]...", nargs=-1, shell_complete=any_job)
@click.option("-w", "--watch", "watching", is_flag=True, help="Look every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON document.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl", "tsv"]),
    default="table",
    help="jsonl, tsv: the jobs alone, one a line.",
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    metavar="N",
    help="How many of the latest jobs to list.",
)
@filter_options
def command(
    place: Place,
    job_ids: tuple[str, ...],
    limit: int,
    form: str,
    wanted: "JobFilter",
    *,
    as_json: bool,
    watching: bool,
) -> None:
    """Show the daemon, the queue and the latest jobs, or the jobs named.

    Asking is harmless: it reads beside the daemon, and works when none runs. Conditions apply together.
    """
    from kbd.daemon.cli.status_report import take_status

    if as_json + watching + (form != "table") > 1:
        raise click.UsageError("--watch, --json and --format exclude each other")
    if job_ids:
        from kbd.daemon.cli.known_jobs import require_known
        from kbd.daemon.cli.later_deliveries import published_digests, say_later_deliveries

        require_known(place, job_ids)
        say_later_deliveries(place, published_digests(place, job_ids))
    if watching:
        _watch(place, job_ids, limit, wanted)
        return
    report = take_status(place, job_ids, limit=limit, wanted=wanted)
    if as_json:
        click.echo(json.dumps(report.as_document(), indent=2))
    elif form != "table":
        from kbd.daemon.cli.job_records import json_lines, tsv_lines

        for line in (tsv_lines if form == "tsv" else json_lines)(report.jobs):
            click.echo(line)
    else:
        from kbd.daemon.cli.status_page import print_status

        print_status(report, named=bool(job_ids))


def _watch(place: Place, job_ids: tuple[str, ...], limit: int, wanted: "JobFilter") -> None:
    from rich.text import Text

    from kbd.daemon.cli.painting import Painter
    from kbd.daemon.cli.presence import DaemonWatch
    from kbd.daemon.cli.status_page import terminal_lines
    from kbd.daemon.cli.status_report import take_status
    from kbd.daemon.cli.status_watch import watch
    from kbd.daemon.cli.terminal import results

    console, daemon = results(), DaemonWatch(place)

    def draw() -> Text:
        # As many jobs as fit on the screen: what is cut off at the bottom is what nobody looks at.
        rows = max(1, min(limit, console.size.height - 8))
        report = take_status(place, job_ids, limit=rows, wanted=wanted, watch=daemon)
        lines = terminal_lines(report, Painter.of_stdout(), named=bool(job_ids), advice=False)
        return Text.from_ansi("\n".join(lines))

    watch(draw, console)
