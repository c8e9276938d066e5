"""The report of `kbd status` for people."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kbd.daemon.cli.ending_words import waits_for
from kbd.daemon.cli.job_table import JobLine, job_line, plain_table, terminal_table
from kbd.daemon.cli.known_jobs import Whereabouts
from kbd.daemon.cli.painting import Painter, Words, is_terminal
from kbd.daemon.cli.presence import Presence
from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.wording import counted
from kbd.store.states import FINAL, RUNNING, JobState

if TYPE_CHECKING:
    from typing import Any

    from kbd.daemon.cli.presence import Sighting
    from kbd.daemon.cli.status_report import StatusReport

LABEL_COLUMNS: Final = 8


def print_status(report: "StatusReport", *, named: bool) -> None:
    """Print it all. `named`: single jobs were asked for, so counts and advice are left out."""
    if is_terminal():
        lines = terminal_lines(report, Painter.of_stdout(), named=named)
    else:
        lines = _plain_lines(report, named=named)
    for line in lines:
        print(line)


def terminal_lines(
    report: "StatusReport", painter: Painter, *, named: bool, advice: bool = True
) -> Iterator[str]:
    """The report from top to bottom for a terminal."""
    if not named:
        for words in (*_daemon(report), _jobs(report)):
            yield painter.fold(words, LABEL_COLUMNS)
    if report.jobs:
        if not named:
            yield ""
        yield from terminal_table(_lines(report), painter)
    yield from _unlisted(report)
    yield from _unmatched(report, named=named)
    if advice and not named:
        yield from _advice(report)


def _plain_lines(report: "StatusReport", *, named: bool) -> Iterator[str]:
    """The same for files and programs: nothing is cut or folded."""
    if not named:
        for words in (*_daemon(report), _jobs(report)):
            yield "".join(said for said, _ in words)
    if report.jobs:
        yield ("" if named else "\n") + plain_table(_lines(report))
    yield from _unlisted(report)
    yield from _unmatched(report, named=named)
    if not named:
        yield from _advice(report)


def _lines(report: "StatusReport") -> list[JobLine]:
    now = time.time()
    return [job_line(job, now) for job in report.jobs]


def _unlisted(report: "StatusReport") -> Iterator[str]:
    said = {
        Whereabouts.INBOX: "it waits in the inbox",
        Whereabouts.CLAIMED: "it is claimed, and not read yet"
        if report.history
        else "it is claimed by the daemon",
        Whereabouts.OUTBOX: "it has a result: kbd show {}",
        Whereabouts.UNSEEN: "it is on its way",
    }
    for job_id, where in report.unlisted.items():
        yield f"{job_id}: {said[where].format(job_id)}"


def _unmatched(report: "StatusReport", *, named: bool) -> Iterator[str]:
    if report.filtered and not report.jobs:
        yield ("" if named else "\n") + "No job is as was asked for."


def _daemon(report: "StatusReport") -> Iterator[Words]:
    """Whether it runs, who and where it is, on what devices; what keeps it from working."""
    presence, snapshot = report.sighting.presence, report.sighting.snapshot
    running = presence is Presence.RUNNING
    devices = list(snapshot.devices) if running and snapshot is not None else []
    names = ", ".join(dict.fromkeys(one_line(str(device.get("name", "?"))) for device in devices))
    yield [_label("daemon"), _standing(report), (f" on {names}" if names else "", "")]
    if report.sighting.ending is not None and not _has_ended(report.sighting):
        yield _trouble("waits", waits_for(report.sighting.ending, snapshot))
    if running and snapshot is not None and snapshot.paused:
        yield _trouble("paused", one_line(snapshot.paused))
    for device in devices:
        if problem := device.get("problem"):
            name = one_line(str(device.get("name", "?")))
            yield _trouble("out", f"{name}: {one_line(str(problem))}")
    if report.sighting.standby is not None:
        yield [_label("standby"), (_standing_by(report.sighting.standby), "bold cyan")]


def _label(said: str) -> tuple[str, str]:
    return said.ljust(LABEL_COLUMNS), "bold"


def _trouble(label: str, said: str) -> Words:
    return [(label.ljust(LABEL_COLUMNS), "bold yellow"), (said, "bold yellow")]


def _standing(report: "StatusReport") -> tuple[str, str]:
    match report.sighting.presence:
        case Presence.RUNNING:
            return _running(report), "bold green" if report.sighting.ending is None else "bold yellow"
        case Presence.ABSENT:
            return "not running", "bold yellow"
        case Presence.UNSURE:
            return _unsure(report), "bold yellow"


def _jobs(report: "StatusReport") -> Words:
    """Where they are, and how they ended."""
    text = [_label("jobs")]
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
    pid, host = one_line(str(about.get("pid", "?"))), one_line(str(about.get("host", "?")))
    return f"{'running' if report.sighting.ending is None else 'stopping'} (pid {pid}, host {host})"


def _standing_by(standby: "dict[str, Any]") -> str:
    pid, owner = one_line(str(standby.get("pid", "?"))), one_line(str(standby.get("owner", "the owner")))
    return f"pid {pid} of this host takes over when {owner} ends or falls silent"


def _unsure(report: "StatusReport") -> str:
    about = report.sighting.about
    host, updated = one_line(str(about.get("host", "?"))), one_line(str(about.get("updated_at", "?")))
    if report.sighting.ending is None:
        return f"last heard of on host {host} at {updated} by its clock; look again to be sure"
    does = "has ended" if _has_ended(report.sighting) else "is stopping"
    return f"{does} on host {host}, as it said at {updated} by its clock"


def _has_ended(sighting: "Sighting") -> bool:
    """Whether it said so, and is not seen any more."""
    return (
        sighting.presence is Presence.UNSURE
        and sighting.ending is not None
        and sighting.ending.get("over") is True
    )


def _advice(report: "StatusReport") -> Iterator[str]:
    """What to do next, where there is something to do."""
    place = report.place
    if report.is_empty:
        yield f"\nNo jobs yet. Drop one into {place.spool_root / 'inbox'}, or: kbd submit{place.spool_flag} FILE"
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
        yield f"\n{waits}Start one: kbd run{place.spool_flag}"
