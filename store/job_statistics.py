"""Figures over many jobs, for readers: one pass over `jobs`, and the texts of the latest of them.

Texts are parsed here and not in SQL, because each database has its own words for JSON; so only so many of them
are read, a batch at a time, as somebody waits for.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kbd.store.job_filter import ARRIVED
from kbd.store.sqlite_file import QuerySource
from kbd.store.states import JobState

HOUR_S: Final = 3_600
_TEXTS_PER_QUERY: Final = 200
# The whole hours: a cast rounds in PostgreSQL, and cuts off in SQLite.
_HOURS: Final = f"finished_at / {HOUR_S}"
_HOUR: Final = f"CAST({_HOURS} AS INTEGER) - CASE WHEN CAST({_HOURS} AS INTEGER) > {_HOURS} THEN 1 ELSE 0 END"


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Jobs that have all of this in common: how many there are, and when they came and ended (Unix seconds)."""

    state: JobState
    status: str | None
    blame: str | None
    device: str | None
    owner: str
    jobs: int
    first_arrival: float
    latest_end: float | None


@dataclass(frozen=True, slots=True)
class JobTexts:
    """What was asked and what was found, parsed; None where there is no such text or it cannot be read."""

    manifest: dict[str, Any] | None
    result: dict[str, Any] | None


class StatisticsReader:
    """Answers from one source about the jobs that arrived at `since` (Unix seconds) or later; None: all."""

    def __init__(self, source: QuerySource, since: float | None = None) -> None:
        self._source = source
        self._where = f"WHERE {ARRIVED}" if since is not None else "WHERE 1 = 1"
        self._values: dict[str, object] = {} if since is None else {"since": since}

    def groups(self) -> list[JobGroup]:
        """Every job is in exactly one."""
        rows = self._source.rows(
            "SELECT state, status, blame, device, owner, COUNT(*), MIN(submitted_at), MAX(finished_at) "  # noqa: S608
            f"FROM jobs {self._where} GROUP BY state, status, blame, device, owner",
            self._values,
        )
        return [JobGroup(JobState(state), *others) for state, *others in rows]

    def ends_by_hour(self) -> dict[int, int]:
        """How many jobs ended in each hour that saw any; hours count from the Unix epoch."""
        rows = self._source.rows(
            f"SELECT {_HOUR} AS hour, COUNT(*) FROM jobs {self._where} "  # noqa: S608
            "AND finished_at IS NOT NULL GROUP BY hour ORDER BY hour",
            self._values,
        )
        return dict(rows)

    def latest_texts(self, limit: int) -> Iterator[JobTexts]:
        """The texts of at most so many jobs, the latest first."""
        before: int | None = None
        while limit > 0:
            rows = self._texts(before, min(limit, _TEXTS_PER_QUERY))
            if not rows:
                return
            for _, manifest, result in rows:
                yield JobTexts(_parsed(manifest), _parsed(result))
            before, limit = rows[-1][0], limit - len(rows)

    def _texts(self, before: int | None, number: int) -> list[tuple[Any, ...]]:
        older = "AND jobs.sequence < :before" if before is not None else ""
        return self._source.rows(
            "SELECT jobs.sequence, manifests.text, results.text FROM jobs "  # noqa: S608
            "LEFT JOIN manifests ON manifests.job = jobs.sequence "
            f"LEFT JOIN results ON results.job = jobs.sequence {self._where} {older} "
            f"ORDER BY jobs.sequence DESC LIMIT {int(number)}",
            self._values | ({"before": before} if before is not None else {}),
        )


def _parsed(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
