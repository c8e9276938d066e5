"""`kbd cache`: what is kept of compiled kernels."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options

if TYPE_CHECKING:
    from kbd.backends.artifacts import Usage


@click.command("cache", cls=PageCommand)
@place_options
@click.option(
    "--clear", is_flag=True, help="Remove everything; kernels are compiled again when they come back."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(place: Place, *, clear: bool, as_json: bool) -> None:
    """Show how many compiled kernels are kept, how large they are, and how often one was found.

    A kernel is found again when its source, options, target and compilers are the same. The least recently used go
    when the cache outgrows $KBD_ARTIFACTS_BYTES. Clearing disturbs no running daemon.
    """
    from kbd.backends.artifacts import ArtifactCache

    settings = place.settings().compilers
    cache = ArtifactCache(settings.cache, settings.cache_bytes)
    usage = cache.clear() if clear else cache.usage()
    if as_json:
        click.echo(
            json.dumps(
                {"schema_version": 1, "folder": str(settings.cache), "cleared": clear} | asdict(usage),
                indent=2,
            )
        )
        return
    click.echo(f"folder    {settings.cache}")
    for line in _lines(usage, "cleared" if clear else "kept"):
        click.echo(line)


def _lines(usage: "Usage", verb: str) -> list[str]:
    from kbd.daemon.cli.wording import counted, size

    counters = usage.counters
    asked = counters.hits + counters.misses
    share = f" ({counters.hits / asked:.0%})" if asked else ""
    broken = f", {counters.broken} damaged" if counters.broken else ""
    return [
        f"{verb:<9} {counted(usage.entries, 'kernel')}, {size(usage.nbytes)} of {size(usage.limit_bytes)}",
        f"found     {counters.hits} of {counted(asked, 'time')}{share}{broken}",
        f"removed   {counters.evicted} to make room",
    ]
