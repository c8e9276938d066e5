"""`kbd logs`: what the kernels of a job print."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.job_completion import any_job
from kbd.daemon.cli.place import Place, place_options

if TYPE_CHECKING:
    from kbd.daemon.cli.job_output import Printed


@click.command("logs", cls=PageCommand)
@place_options
@click.argument("job_id", metavar="ID", shell_complete=any_job)
@click.option(
    "--role",
    type=click.Choice(["candidate", "reference", "compiler"]),
    help="One kernel, or what the compilers of both said. Default: all.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job is over.")
def command(place: Place, job_id: str, role: str | None, *, follow: bool) -> None:
    """Print what the kernels of a job and their compilers wrote to stdout and stderr, in its latest attempt.

    Works while the job runs. The first and the last 64 KiB are kept, for 14 days; what a terminal would obey
    is shown as text. A kernel that was built before has no compiler, and so no output of one.
    Where the daemon's files cannot be read, it is what the result holds.
    """
    from kbd.daemon.cli.job_end import JobEnd
    from kbd.daemon.cli.job_output import JobOutput
    from kbd.daemon.cli.known_jobs import require_known
    from kbd.daemon.job_logs.archive import LogArchive

    require_known(place, [job_id])
    names = _names(role)
    output = JobOutput(LogArchive(place.state), job_id, names)
    try:
        pieces = output.followed(JobEnd(place, job_id)) if follow else output.kept()
        anything = _print(pieces, names)
    except PermissionError as error:
        click.echo(f"the daemon's logs cannot be read: {error}", err=True)
        anything = False
    if not anything and not _print(_in_the_result(place, job_id, names), names):
        click.echo(f"{job_id} has printed nothing{'' if follow else ' so far'}.", err=True)


def _names(role: str | None) -> Sequence[str]:
    from kbd.daemon.job_logs.archive import COMPILER_LOGS, LOG_NAMES

    if role is None:
        return LOG_NAMES
    return COMPILER_LOGS if role == "compiler" else (role,)


def _print(pieces: Iterable["Printed"], names: Sequence[str]) -> bool:
    """Print them, under a headline wherever another process speaks. False: there were none."""
    last: tuple[str, int] | None = None
    ends_line = True
    for piece in pieces:
        speaker = (piece.name, piece.attempt)
        if speaker != last and len(names) > 1:
            click.echo(f"{'' if ends_line else chr(10)}==> {piece.name} <==")
        last = speaker
        click.echo(piece.text, nl=False)
        ends_line = piece.text.endswith("\n") if piece.text else ends_line
    if not ends_line:
        click.echo()
    return last is not None


def _in_the_result(place: Place, job_id: str, names: Sequence[str]) -> Iterator["Printed"]:
    from kbd.daemon.cli.found_result import find_result
    from kbd.daemon.cli.job_output import Printed
    from kbd.daemon.cli.printable import printable

    result = find_result(place, job_id)
    if result is None:
        return
    for name in names:
        if text := getattr(result.logs, name, None):
            yield Printed(name, result.attempt, printable(text))
