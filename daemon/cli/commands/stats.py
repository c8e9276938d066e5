"""`kbd stats`: figures over many jobs."""

import json
import time

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options
from kbd.daemon.cli.status_options import since_option


@click.command("stats", cls=PageCommand)
@place_options
@since_option
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=0),
    default=5_000,
    metavar="N",
    help="Of how many of the latest jobs kernel types and times are taken: their texts have to be read.",
)
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON document.")
def command(place: Place, since_s: float | None, limit: int, *, as_json: bool) -> None:
    """Count jobs by verdict, blame, kernel type, device and owner; say how many an hour, and what took how long.

    It reads beside the daemon, and works when none runs. Times are kbd's own, in seconds: "queued" is what a job
    waited for a compile slot and a device, the others are the stages of its latest attempt.
    """
    from kbd.daemon.cli.stats_report import take_stats

    report = take_stats(place, since=None if since_s is None else time.time() - since_s, limit=limit)
    if as_json:
        click.echo(json.dumps(report.as_document(), indent=2))
        return
    from kbd.daemon.cli.stats_page import print_stats
    from kbd.daemon.cli.terminal import results

    print_stats(report, results())
