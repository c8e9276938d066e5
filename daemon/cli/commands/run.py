"""`kbd run`: be the daemon."""

from typing import TYPE_CHECKING, cast

import rich_click as click

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.place import Place, place_options

if TYPE_CHECKING:
    from kbd.daemon.devices import DeviceKind


@click.command("run")
@place_options
@click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "cpu"]),
    default="auto",
    help="Which devices to judge on. auto: CUDA devices, or the CPU where there is none.",
)
@click.option("--once", is_flag=True, help="Do what the inbox holds, then end.")
def command(place: Place, device: str, *, once: bool) -> None:
    """Run the daemon: take jobs from the inbox, judge them, publish results.

    It stays in the foreground and logs to stderr and to STATE/logs/daemon.log. Ctrl-C or SIGTERM lets running
    jobs finish for a while; a second one stops at once. What was not finished is done by the next daemon.

    A spool has one owner. Where another daemon is, this one stands by and takes over when that one ends or falls
    silent; --once does not wait.
    """
    from kbd.daemon.config import ConfigError, resolve
    from kbd.daemon.devices import NoDevice
    from kbd.daemon.executor.judge_client import JudgeFailed
    from kbd.daemon.executor.nursery_client import NurseryFailed
    from kbd.daemon.executor.sandbox.isolation import IsolationTooWeak
    from kbd.daemon.ownership import AlreadyRunning
    from kbd.daemon.service import run_daemon
    from kbd.daemon.standby import SpoolTaken
    from kbd.inbox.epoch import EpochLost
    from kbd.inbox.probe import SpoolUnfit

    try:
        # A spool that nobody named stays unnamed: the daemon may create the default one.
        named = place.spool_root if place.spool_named else None
        run_daemon(resolve(named, place.state, cast("DeviceKind", device)), once=once)
    except ConfigError as error:
        raise CommandFailed(str(error), ExitCode.USAGE) from error
    except (AlreadyRunning, SpoolTaken, EpochLost, SpoolUnfit) as error:
        raise CommandFailed(str(error), ExitCode.NOT_PASSED) from error
    except (NoDevice, NurseryFailed, JudgeFailed, IsolationTooWeak) as error:
        raise CommandFailed(str(error), ExitCode.NOT_PASSED) from error
