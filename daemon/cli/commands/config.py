"""`kbd config`: the settings, and the file they come from."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.help_page import PageGroup
from kbd.daemon.cli.place import Place, place_options

if TYPE_CHECKING:
    from kbd.daemon.config import Settings


@click.group("config", cls=PageGroup)
def command() -> None:
    """Show and check the settings of the daemon.

    Defaults are overruled by a file, the file by environment variables, these by flags.
    """


@command.command("show")
@place_options
@click.option("--json", "as_json", is_flag=True, help="The settings as one JSON document.")
def show(place: Place, *, as_json: bool) -> None:
    """Show every setting, what holds, and where it comes from."""
    from kbd.daemon.configuration.showing import document, shown

    settings = place.settings()
    _warn(settings)
    if as_json:
        click.echo(json.dumps(document(settings), indent=2))
        return
    rows = [(each.setting.key, each.text, each.source) for each in shown(settings)]
    widths = [max(len(row[place]) for row in rows) for place in range(2)]
    for key, text, source in rows:
        click.echo(f"{key.ljust(widths[0])}  {text.ljust(widths[1])}  {source}")


@command.command("path")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="As for the other commands.")
def path(config: Path | None) -> None:
    """Print the file of settings in use; where there is none, the one that would be read first."""
    import os

    from kbd.daemon.configuration.file import candidates, find

    found = find(config, os.environ)
    if found is None:
        looked_for = candidates(os.environ)
        click.echo(looked_for[0])
        click.echo(
            f"none is there: looked for {' and '.join(map(str, looked_for))}; defaults hold. Write one: kbd init",
            err=True,
        )
        return
    click.echo(found)
    if not found.is_file():
        click.echo("it is not there. Write one: kbd init", err=True)


@command.command("check")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path | None) -> None:
    """Check a file of settings, by default the one in use, together with the environment.

    Every problem is shown, with the line it is on, and the command ends with 2 if there is any. A running daemon
    is not touched; it reads its file again on SIGHUP.
    """
    from kbd.daemon.config import resolve

    settings = resolve(config=file)
    _warn(settings)
    origin = settings.origin
    if origin is None or origin.file is None:
        click.echo("no file of settings: the environment is fine, defaults hold")
        return
    from_file = sum(given.source.startswith(str(origin.file)) for given in origin.given.values())
    from kbd.daemon.cli.wording import counted

    click.echo(f"{origin.file}: fine, {counted(from_file, 'setting')} from it in force")


def _warn(settings: "Settings") -> None:
    for doubt in settings.origin.doubts if settings.origin is not None else ():
        click.echo(f"{click.style('warning:', fg='yellow')} {doubt}", err=True)
