"""The report of `kbd status` for people."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kbd.daemon.cli.job_table import JobLine, job_line, plain_table, rich_table
from kbd.daemon.cli.presence import Presence
from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.terminal import is_terminal, results
from kbd.daemon.cli.wording import counted
from kbd.store.states import FINAL, RUNNING, JobState

if TYPE_CHECKING:
    from typing import Any

    from rich.console import RenderableType

    from kbd.daemon.cli.status_report import StatusReport


Words = list[tuple[str, str]]
"""A text in pieces, each with its style as rich names them."""


def print_status(report: "StatusReport", *, named: bool) -> None:
    """Print it all. `named`: single jobs were asked for, so counts and advice are left out."""
    if not is_terminal():
        for line in _plain_lines(report, named=named):
            print(line)
        return
    console = results()
    for part in status_parts(report, named=named):
        console.print(part, soft_wrap=isinstance(part, str))


def status_parts(report: "StatusReport", *, named: bool, advice: bool = True) -> "Iterator[RenderableType]":
    """The report from top to bottom for a terminal, each part beginning on a line of its own."""
    from rich.text import Text

    if not named:
        yield Text.assemble(*_daemon(report))
        yield Text.assemble(*_jobs(report))
    if report.jobs:
        if not named:
            yield ""
        yield rich_table(_lines(report))
    yield from _unlisted(report)
    if advice and not named:
        yield from _advice(report)


def _plain_lines(report: "StatusReport", *, named: bool) -> Iterator[str]:
    """The same for files and programs, which need no rich: importing it takes longer than everything else."""
    if not named:
        for words in (_daemon(report), _jobs(report)):
            yield "".join(said for said, _ in words)
    if report.jobs:
        yield ("" if named else "\n") + plain_table(_lines(report))
    yield from _unlisted(report)
    if not named:
        yield from _advice(report)


def _lines(report: "StatusReport") -> list[JobLine]:
    now = time.time()
    return [job_line(job, now) for job in report.jobs]


def _unlisted(report: "StatusReport") -> Iterator[str]:
    for job_id in report.unlisted:
        yield f"{job_id}: not in the database; it waits in the inbox, or see: kbd show {job_id}"


def _daemon(report: "StatusReport") -> Words:
    """Whether it runs, who and where it is, on what devices."""
    text = [("daemon  ", "bold")]
    match report.sighting.presence:
        case Presence.RUNNING:
            text.append((_running(report), "bold green"))
        case Presence.ABSENT:
            text.append(("not running", "bold yellow"))
        case Presence.UNSURE:
            text.append((_unsure(report), "bold yellow"))
    snapshot = report.sighting.snapshot
    if report.sighting.presence is Presence.RUNNING and snapshot is not None:
        names = ", ".join(
            dict.fromkeys(one_line(str(device.get("name", "?"))) for device in snapshot.devices)
        )
        text.append((f" on {names}" if names else "", ""))
        text.append((f"\npaused  {one_line(snapshot.paused)}" if snapshot.paused else "", "bold yellow"))
        for device in snapshot.devices:
            if problem := device.get("problem"):
                name = one_line(str(device.get("name", "?")))
                text.append((f"\nout     {name}: {one_line(str(problem))}", "bold yellow"))
    if report.sighting.standby is not None:
        text.append((f"\nstandby {_standing_by(report.sighting.standby)}", "bold cyan"))
    return text


def _jobs(report: "StatusReport") -> Words:
    """Where they are, and how they ended."""
    text = [("jobs    ", "bold")]
    parts = [part for part in _counts(report) if part[0]] or [(0, "none yet", "dim")]
    for place, (number, word, style) in enumerate(parts):
        text.append((" · " if place else "", "dim"))
        text.append((f"{number} {word}" if number else word, style))
    return text


def _counts(report: "StatusReport") -> Iterator[tuple[int, str, str]]:
    yield report.waiting, "in the inbox", "cyan"
    yield report.counts.get(JobState.SUBMITTED, 0), "queued", "cyan"
    yield sum(report.counts.get(state, 0) for state in RUNNING), "running", "cyan"
    for state in (JobState.COMPLETED, *sorted(FINAL - {JobState.COMPLETED})):
        yield (
            report.counts.get(state, 0),
            state.value,
            "" if state is JobState.COMPLETED else "yellow",
        )


def _running(report: "StatusReport") -> str:
    about = report.sighting.about
    return (
        f"running (pid {one_line(str(about.get('pid', '?')))}, host {one_line(str(about.get('host', '?')))})"
    )


def _standing_by(standby: "dict[str, Any]") -> str:
    pid, owner = one_line(str(standby.get("pid", "?"))), one_line(str(standby.get("owner", "the owner")))
    return f"pid {pid} of this host takes over when {owner} ends or falls silent"


def _unsure(report: "StatusReport") -> str:
    about = report.sighting.about
    host, updated = one_line(str(about.get("host", "?"))), one_line(str(about.get("updated_at", "?")))
    return f"last heard of on host {host} at {updated} by its clock; look again to be sure"


def _advice(report: "StatusReport") -> Iterator[str]:
    """What to do next, where there is something to do."""
    if report.filtered and not report.jobs:
        yield "\nNo job is as was asked for."
    place = report.place
    flags = f" --spool {place.spool_root}" if place.spool_named else ""
    if report.is_empty:
        yield f"\nNo jobs yet. Drop one into {place.spool_root / 'inbox'}, or: kbd submit{flags} FILE"
        yield "See how it works on examples: kbd demo"
    elif not report.history:
        yield "\nThe daemon's database is not on this host, so single jobs are not listed; see the outbox."
    if report.sighting.presence is Presence.ABSENT:
        unfinished = report.waiting + sum(report.counts.get(s, 0) for s in JobState if s not in FINAL)
        waits = (
            f"{counted(unfinished, 'job')} {'waits' if unfinished == 1 else 'wait'} for a daemon. "
            if unfinished
            else ""
        )
        yield f"\n{waits}Start one: kbd run{flags}"
