"""`kbd init`: make a spool, and what a daemon on it needs."""

from pathlib import Path

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import folder_option


@click.command("init", cls=PageCommand)
@click.argument("folder", metavar="[SPOOL]", required=False, type=click.Path(file_okay=False, path_type=Path))
@folder_option("--spool", help="The same as SPOOL. Default: $KBD_SPOOL, else a user folder.")
@folder_option(
    "--state", help="The daemon's database, logs and lock. Default: $KBD_STATE, else a user folder."
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file of settings to write; the unit lies beside it. Default: $KBD_CONFIG, else a user folder.",
)
@click.option("--system", is_flag=True, help="For a service of the system, in /etc/kbd and /var/lib/kbd.")
@click.option("--user", default="kbd", metavar="NAME", help="With --system: who the daemon runs as.")
@click.option("--spool-only", is_flag=True, help="Make the folders, write no settings and no unit.")
@click.option("--force", is_flag=True, help="Write settings and unit anew where they are there already.")
def command(
    folder: Path | None,
    spool: Path | None,
    state: Path | None,
    config: Path | None,
    user: str,
    *,
    system: bool,
    spool_only: bool,
    force: bool,
) -> None:
    """Create a spool (or add what is missing to one), a file of settings, and a unit file for systemd.

    `kbd run` refuses a named folder that is no spool: it could be a mount that is not there. This command
    says that it really is to be one. What is there already is kept.
    """
    from kbd.daemon.cli.deploying import deploy, plan, print_folders, print_next_steps
    from kbd.inbox.spool import Spool

    if folder is not None and spool is not None:
        raise click.UsageError("SPOOL and --spool say the same: give one of them")
    place = plan(folder or spool, state, config, system=system)
    made = Spool.create(place.spool_root)
    place.state.mkdir(parents=True, exist_ok=True)
    print_folders(made, place)
    deployed = None if spool_only else deploy(place, user if system else None, force=force)
    print_next_steps(place, deployed)
