"""Jobs as a table: for people on a terminal, and as aligned columns for everything else."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kbd.daemon.cli.painting import Column, Painter
from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.wording import age, mark_of, mark_of_state, seconds, speedup, words

if TYPE_CHECKING:
    from kbd.store.rows import JobSummary

COLUMNS = ("job", "verdict", "speed-up", "took", "when", "")
_TERMINAL_COLUMNS: Final = (
    Column("job", most=36, least=20, is_id=True),
    Column("verdict"),
    Column("speed-up", right=True),
    Column("took", right=True),
    Column("when", style="dim"),
    Column("", style="dim", least=16),
)


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


def terminal_table(lines: Iterable[JobLine], painter: Painter) -> Iterator[str]:
    """The table for a terminal; the note takes what room is left and is cut where there is too little."""
    rows = [
        (
            (line.job_id, ""),
            (f"{line.mark} {line.verdict}", line.colour),
            (line.speedup, ""),
            (line.took, ""),
            (line.when, ""),
            (line.brief, ""),
        )
        for line in lines
    ]
    return painter.table(_TERMINAL_COLUMNS, rows)


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
    return said if job.blame in (None, "candidate") else f"{job.blame}: {said}"
