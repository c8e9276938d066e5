"""`kbd gc`: making room."""

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from kbd.daemon.cli.amounts import bytes_of, seconds_of
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options

if TYPE_CHECKING:
    from kbd.daemon.cli.making_room import Cleared

_USUAL: Final = ("done", "logs", "cache")


@click.command("gc", cls=PageCommand)
@place_options
@click.argument("areas", metavar="[AREA]...", nargs=-1, type=click.Choice([*_USUAL, "quarantine"]))
@click.option(
    "--older-than", "older_than_s", callback=seconds_of, default="30d", metavar="AGE", help="Such as 12h, 7d."
)
@click.option(
    "--max-size", "max_bytes", callback=bytes_of, metavar="SIZE", help="Of each area at most, such as 2G."
)
@click.option("-n", "--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@click.option("-v", "--verbose", is_flag=True, help="Name every file.")
@click.option("--json", "as_json", is_flag=True, help="For programs, with every file.")
def command(
    place: Place,
    areas: tuple[str, ...],
    older_than_s: float,
    max_bytes: int | None,
    *,
    dry_run: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Remove what is old: files of published jobs (done), what kernels printed (logs), compiled kernels (cache).

    The quarantine is cleared only if it is named. Results are never touched, nor anything of a job whose result is
    not published. A job whose files are gone cannot be retried. The oldest go first; with --max-size also younger
    ones, until the rest fits. It ends with 74 where something could not be removed.
    """
    from kbd.daemon.cli.exit_codes import ExitCode
    from kbd.daemon.cli.making_room import make_room
    from kbd.daemon.cli.printable import one_line

    place.spool()
    cleared = make_room(
        place, areas or _USUAL, older_than_s=older_than_s, max_bytes=max_bytes, dry_run=dry_run
    )
    if as_json:
        click.echo(json.dumps(_document(cleared, dry_run=dry_run), indent=2))
    else:
        _print(cleared, dry_run=dry_run, verbose=verbose)
    failures = [failure for area in cleared for failure in area.failures]
    for failure in failures:
        click.echo(f"not removed: {one_line(failure)}", err=True)
    sys.exit(ExitCode.UNUSABLE if failures else ExitCode.OK)


def _document(cleared: "list[Cleared]", *, dry_run: bool) -> dict[str, Any]:
    areas = {
        area.area: {
            "removed": len(area.gone),
            "removed_bytes": area.gone_bytes,
            "kept": len(area.kept),
            "kept_bytes": area.kept_bytes,
            "paths": [str(each.paths[0]) for each in area.gone],
            "failures": area.failures,
        }
        for area in cleared
    }
    return {"schema_version": 1, "dry_run": dry_run, "areas": areas}


def _print(cleared: "list[Cleared]", *, dry_run: bool, verbose: bool) -> None:
    from kbd.daemon.cli.printable import one_line
    from kbd.daemon.cli.wording import size

    verb = "would be removed" if dry_run else "removed"
    for area in cleared:
        if verbose:
            for each in area.gone:
                click.echo(one_line(str(each.paths[0])))
        click.echo(
            f"{area.area:<10}  {len(area.gone)} {verb} ({size(area.gone_bytes)}), "
            f"{len(area.kept)} kept ({size(area.kept_bytes)})"
        )
