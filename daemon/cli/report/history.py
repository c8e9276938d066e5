"""Speed-ups of one kernel over time as coordinates.

Jobs belong together that have the same value of a label, or whose candidates have the same name, or, where a
name says nothing, that were judged by the same reference.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kbd.daemon.cli import wording
from kbd.daemon.cli.report.scales import Scale, even_scale, factor_scale

if TYPE_CHECKING:
    from kbd.daemon.cli.report.reported_jobs import ReportedJob

WIDTH: Final = 720
HEIGHT: Final = 200
LEFT: Final = 64
RIGHT: Final = 704
TOP: Final = 12
FLOOR: Final = 160
FEWEST_JOBS: Final = 2
MOST_CHARTS: Final = 60
KERNEL_LABEL: Final = "kernel"
TIME_TICKS: Final = 5
FACTOR_TICKS: Final = 6

_NAMES: Final = ("kernel_name", "entry_point", "function_name", "class_name")
_ANYBODY: Final = frozenset({"ModelNew", "Model"})
"""Names that a convention asks for: they do not tell one kernel from another."""


@dataclass(frozen=True, slots=True)
class Point:
    """One job of the chart; a job without a speed-up stands on the floor."""

    job: "ReportedJob"
    x: float
    y: float
    interval: tuple[float, float] | None
    said: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The history of one kernel."""

    name: str
    by: str
    points: tuple[Point, ...]
    failed: tuple[Point, ...]
    line: str
    even: float
    times: tuple[tuple[float, str], ...]
    factors: tuple[tuple[float, str], ...]
    devices: tuple[str, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    floor: int = FLOOR


def charts(jobs: Iterable["ReportedJob"], label: str | None) -> list[Chart]:
    """A chart for each kernel with at least two speed-ups, the one with most jobs first."""
    groups: dict[tuple[str, str], list[ReportedJob]] = {}
    for job in jobs:
        if job.ended_at is not None and (key := _key(job, label)) is not None:
            groups.setdefault(key, []).append(job)
    worth = {key: group for key, group in groups.items() if len(_timed(group)) >= FEWEST_JOBS}
    ordered = sorted(worth.items(), key=lambda item: (-len(item[1]), item[0]))
    return [_chart(by, name, group) for (by, name), group in ordered[:MOST_CHARTS]]


def _key(job: "ReportedJob", label: str | None) -> tuple[str, str] | None:
    """What the job belongs to, and its name there; None: to nothing."""
    labels = job.result.labels
    if label is not None:
        return (f"label {label}", labels[label]) if label in labels else None
    if KERNEL_LABEL in labels:
        return f"label {KERNEL_LABEL}", labels[KERNEL_LABEL]
    name = _name(job)
    if name is not None:
        return "kernel name", name
    reference = (job.manifest or {}).get("reference")
    if reference is None:
        return None
    digest = hashlib.sha256(json.dumps(reference, sort_keys=True).encode()).hexdigest()
    return "same reference", f"reference {digest[:8]}"


def _name(job: "ReportedJob") -> str | None:
    """What the candidate is called in its manifest, else what it launched first."""
    metadata = ((job.manifest or {}).get("candidate") or {}).get("metadata") or {}
    named = [str(metadata[key]) for key in _NAMES if metadata.get(key)]
    launched = [
        launch.kernel
        for workload in job.result.workloads
        if workload.performance
        for launch in workload.performance.launches
    ]
    return next((name for name in (*named, *launched) if name not in _ANYBODY), None)


def _timed(jobs: Sequence["ReportedJob"]) -> list["ReportedJob"]:
    return [job for job in jobs if job.result.speedup is not None]


def _chart(by: str, name: str, jobs: Sequence["ReportedJob"]) -> Chart:
    jobs = sorted(jobs, key=lambda job: job.ended_at or 0.0)
    timed = _timed(jobs)
    reach = [
        value for job in timed for value in (job.result.speedup, *(job.result.speedup_ci95 or ())) if value
    ]
    upward = factor_scale(reach, FLOOR, TOP)
    across = even_scale([job.ended_at for job in jobs if job.ended_at is not None], LEFT, RIGHT)
    points = tuple(_point(job, across, upward) for job in timed)
    failed = tuple(_point(job, across, upward) for job in jobs if job.result.speedup is None)
    return Chart(
        name=name,
        by=by,
        points=points,
        failed=failed,
        line="M" + "L".join(f"{point.x:g} {point.y:g}" for point in points),
        even=upward.at(1.0),
        times=_time_ticks(across),
        factors=tuple((upward.at(tick), wording.speedup(tick)) for tick in upward.ticks(FACTOR_TICKS)),
        devices=tuple(dict.fromkeys(job.result.device.name for job in jobs if job.result.device)),
    )


def _point(job: "ReportedJob", across: Scale, upward: Scale) -> Point:
    result = job.result
    x = across.at(job.ended_at or 0.0)
    if result.speedup is None:
        return Point(job, x, FLOOR, None, f"{result.job_id}: {wording.words(result.status)}")
    said = f"{result.job_id}: {wording.speedup(result.speedup)}"
    interval = None
    if result.speedup_ci95 is not None:
        low, high = result.speedup_ci95
        interval = (upward.at(low), upward.at(high))
        said += f", 95% interval {wording.speedup(low)} to {wording.speedup(high)}"
    if not result.significant:
        said += ", not significant"
    return Point(job, x, upward.at(result.speedup), interval, said)


def _time_ticks(across: Scale) -> tuple[tuple[float, str], ...]:
    step = (across.high - across.low) / (TIME_TICKS - 1)
    form = "%H:%M:%S" if step < 120 else "%d %b %H:%M" if step < 86_400 else "%d %b %Y"
    moments = [across.low + step * number for number in range(TIME_TICKS)]
    return tuple(
        (across.at(moment), datetime.fromtimestamp(moment, UTC).strftime(form)) for moment in moments
    )
