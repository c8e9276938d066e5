"""`kbd run`: be the daemon."""

from pathlib import Path

import click

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options


@click.command("run", cls=PageCommand)
@place_options
@click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "cpu"]),
    show_default="auto",
    help="Which devices to judge on. auto: CUDA devices, or the CPU where there is none.",
)
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write metrics for Prometheus to this file (textfile collector).",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65_535),
    metavar="PORT",
    help="Serve metrics on this port of 127.0.0.1.",
)
@click.option("--once", is_flag=True, help="Do what the inbox holds, then end.")
def command(
    place: Place, device: str | None, metrics_file: Path | None, metrics_port: int | None, *, once: bool
) -> None:
    """Run the daemon: take jobs from the inbox, judge them, publish results.

    It stays in the foreground and logs to stderr and to STATE/logs/daemon.log. Ctrl-C or SIGTERM lets running
    jobs finish for a while; a second one stops at once. What was not finished is done by the next daemon.
    SIGHUP has it read its settings again.

    A spool has one owner. Where another daemon is, this one stands by and takes over when that one ends or falls
    silent; --once does not wait.
    """
    from kbd.daemon.devices import NoDevice
    from kbd.daemon.executor.judge_client import JudgeFailed
    from kbd.daemon.executor.nursery_client import NurseryFailed
    from kbd.daemon.executor.sandbox.isolation import IsolationTooWeak
    from kbd.daemon.operation.metrics import MetricsUnavailable
    from kbd.daemon.ownership import AlreadyRunning
    from kbd.daemon.running import run_daemon
    from kbd.daemon.standby import SpoolTaken
    from kbd.inbox.epoch import EpochLost
    from kbd.inbox.probe import SpoolUnfit

    flags = {
        "device": device,
        "metrics.file": metrics_file and metrics_file.absolute(),
        "metrics.port": metrics_port,
    }
    try:
        run_daemon(place.settings(flags), once=once)
    except (
        AlreadyRunning,
        SpoolTaken,
        EpochLost,
        SpoolUnfit,
        NoDevice,
        NurseryFailed,
        JudgeFailed,
        IsolationTooWeak,
        MetricsUnavailable,
    ) as error:
        raise CommandFailed(str(error), ExitCode.NOT_PASSED) from error
