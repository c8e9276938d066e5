"""`kbd demo`: the whole way once, on examples."""

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.help_page import PageCommand

if TYPE_CHECKING:
    from kbd.daemon.cli.demo_page import Standings
    from kbd.daemon.cli.place import Place


@click.command("demo", cls=PageCommand)
@click.option(
    "--spool",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="A new or empty folder to work in.  [default: a temporary one]",
)
@click.option(
    "--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", help="As for `kbd run`."
)
def command(root: Path | None, device: str) -> None:
    """Judge five example jobs with a daemon and a spool of their own.

    It takes some seconds, leaves your own spool alone, and ends with 0 if each verdict is the right one.
    """
    from kbd.daemon.cli.daemon_process import daemon_process
    from kbd.daemon.cli.demo_page import reasons, show_progress
    from kbd.daemon.cli.demo_run import deliver_demo_jobs, watch_demo_jobs
    from kbd.daemon.cli.page_line import print_line
    from kbd.daemon.cli.terminal import results

    console, started = results(), time.monotonic()
    place = _make_place(root)
    # As Ctrl-C does: leave by the `finally` of every block, so that no daemon stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.INTERRUPTED))
    console.print("Five kernels claim to compute a softmax. A daemon of their own judges them in")
    console.print(str(place.spool_root), style="cyan", soft_wrap=True)
    console.print()
    with daemon_process(place, place.state / "daemon-output.log", ["--device", device]) as daemon:
        deliver_demo_jobs(place)
        standings = show_progress(watch_demo_jobs(place, daemon), console)
        console.print()
        for line in reasons(standings):
            print_line(line, console)
        stopped_well = daemon.stop() == 0
    console.print()
    for words in _closing(place, standings, time.monotonic() - started, stopped_well=stopped_well):
        console.print(words, soft_wrap=True)
    sys.exit(
        ExitCode.OK if stopped_well and all(job.as_expected for job in standings) else ExitCode.NOT_PASSED
    )


def _make_place(root: Path | None) -> "Place":
    """A spool in a folder that holds nothing else, with the state folder inside it."""
    from kbd.daemon.cli.place import Place
    from kbd.inbox.spool import Spool

    if root is None:
        root = Path(tempfile.mkdtemp(prefix="kbd-demo-"))
    elif root.is_dir() and any(root.iterdir()):
        raise click.UsageError(f"{root} is not empty: the demonstration wants a folder of its own")
    spool = Spool.create(root)
    place = Place(spool.root, spool.root / "state", spool_named=True)
    place.state.mkdir()
    return place


def _closing(place: "Place", standings: "Standings", took_s: float, *, stopped_well: bool) -> list[str]:
    """Whether all is as it should be, and where to look now."""
    surprises = [
        f"{standing.job.name}: expected {standing.job.expected}, found {standing.result and standing.result.status}"
        for standing in standings
        if not standing.as_expected
    ]
    if not stopped_well:
        surprises.append(f"the daemon did not stop cleanly; see {place.state / 'daemon-output.log'}")
    verdict = f"All five verdicts are right; it took {took_s:.1f} s and the daemon has stopped."
    return [
        *(["Not as expected:", *surprises] if surprises else [verdict]),
        "",
        f"  the jobs      {place.spool_root / 'done'}",
        f"  the results   {place.spool_root / 'outbox'}",
        f"  the log       {place.state / 'logs' / 'daemon.log'}",
        f"  read one      kbd show{place.spool_flag} wrong",
        "  your own job  kbd run &   then   kbd submit --wait FILE",
    ]
