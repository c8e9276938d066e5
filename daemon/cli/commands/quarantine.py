"""`kbd quarantine`: what could not be a job, and what becomes of it."""

import json
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.help_page import PageGroup
from kbd.daemon.cli.place import Place, place_options

if TYPE_CHECKING:
    from kbd.inbox.quarantine_contents import QuarantineContents, Quarantinee


@click.group("quarantine", cls=PageGroup, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look at what could not be a job, put it back when it is mended, or throw it away.

    Works through the spool's files alone, so on any host that mounts it, with or without a daemon. Nothing leaves
    the quarantine by itself.
    """


@command.command("ls")
@place_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def ls(place: Place, *, as_json: bool) -> None:
    """List the quarantine, the oldest first: what lies there, why, and from whom."""
    from kbd.daemon.cli.quarantine_page import print_quarantine, quarantine_document

    found = _contents(place).all()
    if as_json:
        click.echo(json.dumps(quarantine_document(found), indent=2))
    elif found:
        print_quarantine(found)
    else:
        click.echo("The quarantine is empty.", err=True)


@command.command("show")
@place_options
@click.argument("name", metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(place: Place, name: str, *, as_json: bool) -> None:
    """Show everything that was wrong with one, and where it lies to be mended."""
    from kbd.daemon.cli.quarantine_page import entry_lines, quarantine_document

    contents = _contents(place)
    found = _named(contents, name)
    if as_json:
        click.echo(json.dumps(quarantine_document([found]), indent=2))
        return
    for line in entry_lines(found, contents.path(found)):
        click.echo(line)


@command.command("release")
@place_options
@click.argument("name", metavar="NAME")
@click.option("--id", "new_id", metavar="ID", help="Under this id, where its own is taken or is none.")
def release(place: Place, name: str, new_id: str | None) -> None:
    """Put one back into the inbox, after it was mended where it lies or with another id; print its id.

    It is checked first; what is no job still stays, and the command ends with 6. An id that has a result keeps it,
    the result `invalid_job` too, so most need --id. Nothing in the inbox is overwritten.
    """
    from kbd.daemon.cli.errors import CommandFailed
    from kbd.daemon.cli.exit_codes import ExitCode
    from kbd.inbox.errors import InboxError
    from kbd.inbox.spool import SpoolMissing

    contents = _contents(place)
    _named(contents, name)
    try:
        job_id = contents.release(name, new_id)
    except SpoolMissing:
        raise
    except InboxError as error:
        raise CommandFailed(f"{name} stays in quarantine: {error}", ExitCode.REJECTED) from error
    click.echo(job_id)


@command.command("rm")
@place_options
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def rm(place: Place, names: tuple[str, ...]) -> None:
    """Remove some for good, with their reasons; print their names.

    All of them are looked for first; if one is not there, nothing is removed.
    """
    from kbd.daemon.cli.printable import one_line

    contents = _contents(place)
    for found in [_named(contents, name) for name in dict.fromkeys(names)]:
        contents.discard(found)
        click.echo(one_line(found.name))


def _contents(place: Place) -> "QuarantineContents":
    from kbd.inbox.quarantine_contents import QuarantineContents

    return QuarantineContents(place.spool())


def _named(contents: "QuarantineContents", name: str) -> "Quarantinee":
    from kbd.daemon.cli.errors import CommandFailed
    from kbd.daemon.cli.exit_codes import ExitCode
    from kbd.inbox.quarantine_contents import NotInQuarantine

    try:
        return contents.get(name)
    except NotInQuarantine as error:
        raise CommandFailed(f"{error}. See what there is: kbd quarantine ls", ExitCode.NOT_FOUND) from error
