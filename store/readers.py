"""Questions about jobs, for everybody but the daemon; quick also with a million of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from kbd.store.job_filter import JobFilter
from kbd.store.rows import AttemptRow, JobDetail, JobRow, JobSummary
from kbd.store.sqlite_file import QuerySource
from kbd.store.states import JobState

_SUMMARY: Final = tuple(field.name for field in fields(JobSummary))
_ROW: Final = tuple(field.name for field in fields(JobRow))
_ATTEMPT: Final = tuple(field.name for field in fields(AttemptRow))
_TEXTS: Final = {"manifest_text": "manifests.text", "result_text": "results.text"}
_IDS_PER_QUERY: Final = 500

Summaries = list[JobSummary]


class JobReader:
    """Answers from one source, such as `kbd.store.sqlite_file.open_reader` opens."""

    def __init__(self, source: QuerySource) -> None:
        self._source = source

    def list(
        self,
        ids: Iterable[str] | None = None,
        *,
        state: JobState | None = None,
        status: str | None = None,
        label: tuple[str, str] | None = None,
        owner: str | None = None,
        since: float | None = None,
        limit: int = 100,
    ) -> Summaries:
        """Jobs to which all of the conditions apply, the latest first.

        Args:
            ids: among these jobs alone, and in this order; unknown ids are left out.
            state: where they are in their lives.
            status: their verdict.
            label: a key and its value.
            owner: whose they are.
            since: Unix seconds; those that arrived then or later.
            limit: how many at most; of no effect on `ids`.
        """
        wanted = JobFilter(state=state, status=status, label=label, owner=owner, since=since)
        return self.matching(wanted, ids, limit=limit)

    def matching(self, wanted: JobFilter, ids: Iterable[str] | None = None, *, limit: int = 100) -> Summaries:
        """The same with the conditions as one value."""
        if ids is not None:
            return self._named(tuple(dict.fromkeys(ids)), wanted)
        tallies = self._tallies()
        if not wanted.matches_any(tallies):
            return []
        start = wanted.start(tallies)
        tables, conditions, values = wanted.sql(start)
        order = "labels.job" if start == "label" else "jobs.sequence"
        return self._summaries(tables, conditions, values, f"ORDER BY {order} DESC LIMIT {int(limit)}")

    def get(self, job_id: str) -> JobDetail | None:
        """Everything about one job, or None."""
        columns = ", ".join(_TEXTS.get(name, f"jobs.{name}") for name in _ROW)
        found = self._source.rows(
            f"SELECT {columns} FROM jobs LEFT JOIN manifests ON manifests.job = jobs.sequence "  # noqa: S608
            "LEFT JOIN results ON results.job = jobs.sequence WHERE jobs.job_id = :job_id",
            {"job_id": job_id},
        )
        if not found:
            return None
        values = _plain_values(_ROW, found[0])
        return JobDetail(**values, history=self._history(values["sequence"]))

    def unpublished(self) -> Iterator[str]:
        """The ids of all jobs whose result is not in the outbox yet, those without a result among them."""
        found = self._source.rows("SELECT job_id FROM jobs WHERE published = false", {})
        return (str(row[0]) for row in found)

    def counts(self) -> dict[JobState, int]:
        """How many jobs there are in each state, those without any included."""
        counts = dict.fromkeys(JobState, 0)
        for (state, _), count in self._tallies().items():
            counts[state] += count
        return counts

    def status_counts(self) -> dict[str, int]:
        """How many jobs ended with each status; those that none has are left out."""
        counts: dict[str, int] = {}
        for (_, status), count in self._tallies().items():
            if status and count:
                counts[status] = counts.get(status, 0) + count
        return counts

    def _tallies(self) -> dict[tuple[JobState, str], int]:
        rows = self._source.rows("SELECT state, status, jobs FROM tallies", {})
        return {(JobState(state), status): count for state, status, count in rows}

    def _named(self, ids: Sequence[str], wanted: JobFilter) -> Summaries:
        tables, conditions, values = wanted.sql(start=None)
        found: dict[str, JobSummary] = {}
        for start in range(0, len(ids), _IDS_PER_QUERY):
            some = {f"id{place}": job_id for place, job_id in enumerate(ids[start : start + _IDS_PER_QUERY])}
            among = f"jobs.job_id IN ({', '.join(f':{name}' for name in some)})"
            rows = self._summaries(tables, [among, *conditions], values | some, "")
            found.update((row.job_id, row) for row in rows)
        return [found[job_id] for job_id in ids if job_id in found]

    def _summaries(
        self, tables: str, conditions: Sequence[str], values: Mapping[str, str | float], end: str
    ) -> Summaries:
        columns = ", ".join(f"jobs.{name}" for name in _SUMMARY)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._source.rows(f"SELECT {columns} FROM {tables} {where} {end}", values)  # noqa: S608
        return [JobSummary(**_plain_values(_SUMMARY, row)) for row in rows]

    def _history(self, sequence: int) -> tuple[AttemptRow, ...]:
        rows = self._source.rows(
            f"SELECT {', '.join(_ATTEMPT)} FROM attempts WHERE job = :job ORDER BY number",  # noqa: S608
            {"job": sequence},
        )
        return tuple(AttemptRow(**_plain_values(_ATTEMPT, row)) for row in rows)


def _plain_values(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """A row as the database has it, in the types of `kbd.store.rows`."""
    values = dict(zip(names, row, strict=True))
    values["state"] = JobState(values["state"])
    if "labels" in values:
        labels = values["labels"]
        values["labels"] = json.loads(labels) if isinstance(labels, str) else labels
        values["published"] = bool(values["published"])
    return values
