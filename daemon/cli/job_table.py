"""Jobs as a table: for people on a terminal, and as aligned columns for everything else."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.terminal import ruled_table
from kbd.daemon.cli.wording import age, mark_of, mark_of_state, seconds, speedup, words

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from kbd.store.rows import JobSummary

COLUMNS = ("job", "verdict", "speed-up", "took", "when", "")


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job in words. `mark` and `colour` stand for the verdict where there is room for them.

    `brief`: what of the note is worth the little room of a terminal.
    """

    job_id: str
    mark: str
    colour: str
    verdict: str
    speedup: str
    took: str
    when: str
    note: str
    brief: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The words, in the order of COLUMNS."""
        return (self.job_id, self.verdict, self.speedup, self.took, self.when, self.note)


def job_line(job: "JobSummary", now: float) -> JobLine:
    """A job in words, at the time `now` (Unix seconds, of the host the daemon runs on)."""
    mark, colour = mark_of(job.status) if job.status else mark_of_state(job.state)
    latest = job.finished_at or job.started_at or job.submitted_at
    return JobLine(
        job_id=job.job_id,
        mark=mark,
        colour=colour,
        verdict=words(job.status or job.state.value),
        speedup=speedup(job.speedup) if job.speedup else "",
        took=_took(job, now),
        when=age(now - latest),
        note=_note(job),
        brief=_brief(job),
    )


def rich_table(lines: Iterable[JobLine]) -> "Table":
    """The table for a terminal; the note takes what room is left and is cut where there is none."""
    from rich.text import Text

    table = ruled_table()
    table.add_column("job", no_wrap=True, overflow="ellipsis", min_width=8, max_width=36)
    table.add_column("verdict", no_wrap=True)
    table.add_column("speed-up", no_wrap=True, justify="right")
    table.add_column("took", no_wrap=True, justify="right")
    table.add_column("when", no_wrap=True, style="dim")
    table.add_column("", overflow="ellipsis", style="dim")
    for line in lines:
        verdict = Text(f"{line.mark} {line.verdict}", style=line.colour)
        table.add_row(Text(line.job_id), verdict, line.speedup, line.took, line.when, cut_text(line.brief))
    return table


def cut_text(said: str) -> "Text":
    """A cell that is cut where there is no room, in the only column that gives way (those with no_wrap do not)."""
    from rich.text import Text

    return Text(said, no_wrap=True, overflow="ellipsis")


def plain_table(lines: Sequence[JobLine]) -> str:
    """The same without marks and colours, nothing cut, one job a line, columns two blanks apart."""
    rows = [tuple(name.upper() for name in COLUMNS), *(line.cells for line in lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    return "\n".join(_aligned(row, widths) for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    justify: tuple[Callable[[str, int], str], ...] = (
        str.ljust,
        str.ljust,
        str.rjust,
        str.rjust,
        str.ljust,
        str.ljust,
    )
    cells = (place(cell, width) for place, cell, width in zip(justify, row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _took(job: "JobSummary", now: float) -> str:
    """The latest attempt's time, without the queue."""
    if job.started_at is None:
        return ""
    return seconds(max(0.0, (job.finished_at or now) - job.started_at))


def _note(job: "JobSummary") -> str:
    if job.status is None:
        again = f"attempt {job.attempts}" if job.attempts > 1 else ""
        return ", ".join(filter(None, (f"on {job.device}" if job.started_at and job.device else "", again)))
    where = ", ".join(filter(None, (job.blame, job.stage)))
    said = one_line(job.error_message or "")
    return f"{where}: {said}" if where and said else where or said


def _brief(job: "JobSummary") -> str:
    """What was said, and who is to blame where it is not the candidate, as it mostly is."""
    if job.status is None or not job.error_message:
        return _note(job)
    said = one_line(job.error_message)
    return said if job.blame == "candidate" else f"{job.blame}: {said}"
