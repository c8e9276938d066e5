"""`kbd compare`: two results side by side."""

import json
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options

if TYPE_CHECKING:
    from kbd.outbox.result import JobResult


@click.command("compare", cls=PageCommand)
@place_options
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="The comparison as one JSON document.")
def command(place: Place, a: str, b: str, *, as_json: bool) -> None:
    """Compare two results: verdicts, times, and whether job B's candidate is faster than job A's.

    "Significant" is said only where the 95% interval of the ratio excludes 1. Whatever differs in the
    circumstances (device, driver, versions, clocks, reference) is listed; what makes times incomparable forbids
    a conclusion.
    """
    from kbd.daemon.cli.comparison import compare

    if a == b:
        raise click.UsageError(f"{a} and {b} are the same job: name two")
    found = compare(_result(place, a), _result(place, b), *_manifests(place, a, b))
    if as_json:
        click.echo(json.dumps(found.as_document(), indent=2))
        return
    from kbd.daemon.cli.comparison_page import print_comparison
    from kbd.daemon.cli.terminal import results

    print_comparison(found, results())


def _result(place: Place, job_id: str) -> "JobResult":
    from kbd.daemon.cli.found_result import find_result
    from kbd.daemon.cli.known_jobs import require_known

    result = find_result(place, job_id)
    if result is None:
        require_known(place, [job_id])
        message = f"{job_id} has no result yet. Wait for it: kbd wait {job_id}"
        raise CommandFailed(message, ExitCode.NOT_FOUND)
    return result


def _manifests(place: Place, *job_ids: str) -> list[str | None]:
    """What each job asked for, as far as the database is on this host and knows."""
    from kbd.store.errors import StoreError
    from kbd.store.readers import JobReader
    from kbd.store.source import open_source

    try:
        with open_source(place.state, place.database) as source:
            found = [JobReader(source).get(job_id) for job_id in job_ids]
    except StoreError:
        return [None for _ in job_ids]
    return [job.manifest_text if job is not None else None for job in found]
