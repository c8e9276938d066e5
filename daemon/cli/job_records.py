"""Jobs for programs: a JSON document a line, or tab-separated values with a heading."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kbd.store.rows import JobSummary

TSV_COLUMNS: Final = (
    "job_id",
    "state",
    "status",
    "stage",
    "blame",
    "speedup",
    "owner",
    "device",
    "attempts",
    "submitted_at",
    "started_at",
    "finished_at",
    "error_message",
)
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def json_lines(jobs: "Iterable[JobSummary]") -> Iterator[str]:
    """Each job as `kbd status --json` has it, on a line of its own."""
    for job in jobs:
        yield json.dumps(dataclasses.asdict(job))


def tsv_lines(jobs: "Iterable[JobSummary]") -> Iterator[str]:
    r"""A heading and a line for each job; what is not known is empty, tabs and line ends are `\t` and `\n`."""
    yield "\t".join(TSV_COLUMNS)
    for job in jobs:
        values = (getattr(job, name) for name in TSV_COLUMNS)
        yield "\t".join("" if value is None else str(value).translate(_ESCAPES) for value in values)
