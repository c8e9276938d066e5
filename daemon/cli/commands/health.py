"""`kbd health`: one line and an exit code, for probes."""

import json
import sys

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options


@click.command("health", cls=PageCommand)
@place_options
@click.option("--json", "as_json", is_flag=True, help="The finding as one JSON document.")
@click.option(
    "--silence",
    "longest_silence_s",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    metavar="S",
    help="A daemon that gave no sign of life for so many seconds is not healthy.",
)
def command(place: Place, longest_silence_s: float, *, as_json: bool) -> None:
    """Say whether the daemon is alive and takes jobs: exit code 0 or 1, and one line.

    A daemon that is paused, or waits for a file server, is healthy; one that starts, hangs or is not there is not.
    On the daemon's host this takes one look. On others the spool's snapshot is watched, for up to 10 s.
    """
    from kbd.daemon.cli.exit_codes import ExitCode
    from kbd.daemon.cli.printable import one_line
    from kbd.daemon.cli.vital_signs import Health, take_vital_signs

    signs = take_vital_signs(place, longest_silence_s)
    click.echo(json.dumps(signs.as_document(), indent=2) if as_json else one_line(str(signs)))
    sys.exit(ExitCode.OK if signs.health is Health.HEALTHY else ExitCode.NOT_PASSED)
