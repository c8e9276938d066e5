"""`kbd show`: one job, and everything that was found out about it."""

import json
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.found_result import find_result
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.job_completion import any_job
from kbd.daemon.cli.place import Place, place_options

if TYPE_CHECKING:
    from kbd.outbox.result import JobResult


@click.command("show", cls=PageCommand)
@place_options
@click.argument("job_id", metavar="ID", shell_complete=any_job)
@click.option("--json", "as_json", is_flag=True, help="The result file as it is.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["v2"]),
    help="v2: as the CompareResponse of the original kernel evaluation server (milliseconds).",
)
@click.option(
    "--plot/--no-plot",
    "plotted",
    default=None,
    help="Draw the timing samples. Default: on a terminal.",
)
def command(place: Place, job_id: str, shape: str | None, *, as_json: bool, plotted: bool | None) -> None:
    """Show a job's result, or where the job is if it has none yet.

    It ends with 0 whatever the verdict is; `kbd wait` is the one that tells verdicts by its exit code.
    """
    if shape is not None and as_json:
        raise click.UsageError(
            "--json is the result as kbd writes it, --format another shape: give one of them"
        )
    from kbd.daemon.cli.later_deliveries import say_later_than

    result = find_result(place, job_id)
    if result is None:
        _show_unfinished(place, job_id, machine_readable=as_json or shape is not None)
    elif as_json:
        click.echo(result.to_json(), nl=False)
    elif shape == "v2":
        from kbd.outbox.v2_view import compare_response

        click.echo(json.dumps(compare_response(result), indent=2))
    else:
        _show(result, plotted=plotted)
    if result is not None:
        say_later_than(place, [result])


def _show(result: "JobResult", *, plotted: bool | None) -> None:
    from kbd.daemon.cli.terminal import results
    from kbd.daemon.cli.verdict_page import print_verdict

    console = results()
    if plotted is None:
        plotted = console.is_terminal and _plotting_fails_by() is None
    elif plotted:
        _require_something_to_plot(result)
    print_verdict(result, console, plotted=plotted)


def _require_something_to_plot(result: "JobResult") -> None:
    from kbd.daemon.cli.samples_plot import drawable

    fails_by = _plotting_fails_by()
    if fails_by is not None:
        message = f"--plot needs plotext, which cannot be loaded here: {fails_by}. Try: pip install plotext"
        raise CommandFailed(message, ExitCode.UNUSABLE)
    if not any(workload.performance and drawable(workload.performance) for workload in result.workloads):
        click.echo("Nothing to plot: this result holds no timing samples.", err=True)


def _plotting_fails_by() -> str | None:
    """Why plotext cannot be loaded (it holds compiled code), or None."""
    try:
        import plotext  # noqa: F401
    except (ImportError, OSError) as error:
        return str(error)
    return None


def _show_unfinished(place: Place, job_id: str, *, machine_readable: bool) -> None:
    from kbd.daemon.cli.known_jobs import require_known
    from kbd.daemon.cli.status_page import print_status
    from kbd.daemon.cli.status_report import take_status

    require_known(place, [job_id])
    if machine_readable:
        message = f"{job_id} has no result yet. Wait for it: kbd wait {job_id}"
        raise CommandFailed(message, ExitCode.NOT_FOUND)
    print_status(take_status(place, [job_id], limit=1), named=True)
    click.echo(f"No result yet. Wait for it: kbd wait {job_id}", err=True)
