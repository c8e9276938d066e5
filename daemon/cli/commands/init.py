"""`kbd init`: make a spool."""

import rich_click as click

from kbd.daemon.cli.place import Place, place_options
from kbd.inbox.spool import Spool


@click.command("init")
@place_options
def command(place: Place) -> None:
    """Create a spool, or add what is missing to one.

    `kbd run` refuses a named folder that is no spool: it could be a mount that is not there. This command
    says that it really is to be one.
    """
    spool = Spool.create(place.spool_root)
    place.state.mkdir(parents=True, exist_ok=True)
    click.echo(f"spool  {spool.root}")
    click.echo(f"inbox  {spool.inbox}")
    click.echo(f"outbox {spool.outbox}")
    click.echo(f"state  {place.state}")
    flags = f" --spool {spool.root}" if place.spool_named else ""
    click.echo(f"\nStart a daemon on it:  kbd run{flags}", err=True)
