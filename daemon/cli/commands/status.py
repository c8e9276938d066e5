"""`kbd status`: what is going on."""

import json

import rich_click as click

from kbd.daemon.cli.place import Place, place_options


@click.command("status")
@place_options
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON document.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    metavar="N",
    help="How many of the latest jobs to list.",
)
def command(place: Place, job_ids: tuple[str, ...], limit: int, *, as_json: bool) -> None:
    """Show the daemon, the queue and the latest jobs, or the jobs named.

    Asking is harmless: it reads beside the daemon, and works when none runs.
    """
    from kbd.daemon.cli.status_report import take_status

    if job_ids:
        from kbd.daemon.cli.known_jobs import require_known

        require_known(place, job_ids)
    report = take_status(place, job_ids, limit=limit)
    if as_json:
        click.echo(json.dumps(report.as_document(), indent=2))
        return
    from kbd.daemon.cli.status_page import print_status
    from kbd.daemon.cli.terminal import results

    print_status(report, results(), named=bool(job_ids))
