"""`kbd doctor`: what is wrong with a host, a spool or a daemon, and what to do."""

import sys

import click

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options


@click.command("doctor", cls=PageCommand)
@place_options
@click.option("--json", "as_json", is_flag=True, help="The checks as one JSON document.")
@click.option(
    "--rebuild",
    is_flag=True,
    help="Restore the history from the spool where the database is damaged, deleted or of a newer kbd.",
)
def command(place: Place, *, as_json: bool, rebuild: bool) -> None:
    """Look for what is wrong, and say what to do about it. Nothing is changed.

    Each check is ok, warn (it works, though not as well as it could) or fail (it does not). It ends with 1 if any
    fails. Run it as the user and on the host of the daemon.

    With --rebuild nothing is looked for. The daemon must have ended. A database that cannot be used is set aside;
    jobs with a result in the outbox are remembered again, and those that were claimed are queued again.
    """
    if rebuild:
        _rebuild(place, as_json=as_json)
        return
    from kbd.daemon.cli.checks_page import print_as_json, print_as_text
    from kbd.daemon.cli.terminal import results
    from kbd.daemon.doctor.check import State
    from kbd.daemon.doctor.examination import examine

    checks = examine(place)
    worst = print_as_json(checks) if as_json else print_as_text(checks, results())
    sys.exit(ExitCode.NOT_PASSED if worst is State.FAIL else ExitCode.OK)


def _rebuild(place: Place, *, as_json: bool) -> None:
    from kbd.daemon.cli.rebuilt_page import as_document, as_text
    from kbd.daemon.doctor.rebuilding import rebuild
    from kbd.daemon.ownership import AlreadyRunning

    try:
        rebuilt = rebuild(place.settings())
    except AlreadyRunning as error:
        raise CommandFailed(str(error), ExitCode.NOT_PASSED) from error
    click.echo(as_document(rebuilt) if as_json else as_text(rebuilt))
