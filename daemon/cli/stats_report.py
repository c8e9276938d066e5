"""What `kbd stats` knows: how many jobs of each kind, how fast they came through, and what took how long."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kbd.store.job_statistics import HOUR_S, JobGroup, JobTexts, StatisticsReader

if TYPE_CHECKING:
    from kbd.daemon.cli.place import Place

SCHEMA_VERSION: Final = 1
HOURS_SHOWN: Final = 24
STAGES: Final = ("queued", "compile", "load", "correctness", "timing", "device_metrics", "total")
NO_VALUE: Final = "none"


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Seconds over so many jobs."""

    jobs: int
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quantiles":
        """Of at least one value; between two of them a quantile is interpolated."""
        several = values if len(values) > 1 else [*values, *values]
        cuts = statistics.quantiles(several, n=100, method="inclusive")
        return cls(len(values), cuts[49], cuts[89], cuts[98], max(values))


@dataclass(frozen=True, slots=True)
class StatsReport:
    """Figures over the jobs that arrived since `since` (Unix seconds; None: all that are remembered).

    Attributes:
        counts: by kind (state, status, blame, kernel_type, device, owner), then by value, the most frequent first.
        ended: how many have come to their end.
        span_s: from the first arrival to the latest end.
        by_hour: ends in each of the latest hours, by the hour's beginning.
        examined: how many of the latest jobs `kernel_type` and `times_s` are of.
        times_s: by stage; a stage that no job came to is left out.
    """

    since: float | None
    jobs: int
    ended: int
    span_s: float | None
    counts: Mapping[str, Mapping[str, int]]
    by_hour: Mapping[int, int]
    examined: int
    times_s: Mapping[str, Quantiles] = field(default_factory=dict)

    @property
    def per_hour(self) -> float | None:
        """Jobs that ended, per hour of the span."""
        return self.ended * HOUR_S / self.span_s if self.span_s else None

    def as_document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "since": self.since,
            "jobs": self.jobs,
            "ended": self.ended,
            "span_s": self.span_s,
            "jobs_per_hour": self.per_hour,
            "by_hour": [{"from": start, "ended": number} for start, number in self.by_hour.items()],
            "counts": {kind: dict(values) for kind, values in self.counts.items()},
            "examined": self.examined,
            "times_s": {stage: asdict(quantiles) for stage, quantiles in self.times_s.items()},
        }


def take_stats(place: "Place", *, since: float | None, limit: int) -> StatsReport:
    """Look once; the texts of at most `limit` jobs are read. Raises StoreError where there is no database."""
    from kbd.store.source import open_source

    with open_source(place.state, place.database) as source:
        reader = StatisticsReader(source, since)
        groups, hours = reader.groups(), reader.ends_by_hour()
        kernel_types, times, examined = _read_texts(reader.latest_texts(limit))
    ends = [group.latest_end for group in groups if group.latest_end is not None]
    return StatsReport(
        since=since,
        jobs=sum(group.jobs for group in groups),
        ended=sum(hours.values()),
        span_s=max(ends) - min(group.first_arrival for group in groups) if ends else None,
        counts=_counts(groups) | {"kernel_type": _most_first(kernel_types)},
        by_hour=_latest_hours(hours),
        examined=examined,
        times_s={stage: Quantiles.of(times[stage]) for stage in STAGES if times[stage]},
    )


def _counts(groups: Iterable[JobGroup]) -> dict[str, dict[str, int]]:
    kinds = ("state", "status", "blame", "device", "owner")
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for group in groups:
        for kind in kinds:
            counts[kind][getattr(group, kind) or NO_VALUE] += group.jobs
    return {kind: _most_first(counter) for kind, counter in counts.items()}


def _most_first(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _latest_hours(hours: Mapping[int, int]) -> dict[int, int]:
    """The hours up to the latest with an end, those without any between them included."""
    if not hours:
        return {}
    last = max(hours)
    first = max(min(hours), last - HOURS_SHOWN + 1)
    return {hour * HOUR_S: hours.get(hour, 0) for hour in range(first, last + 1)}


def _read_texts(texts: Iterable[JobTexts]) -> tuple[Counter[str], dict[str, list[float]], int]:
    kernel_types: Counter[str] = Counter()
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    examined = 0
    for job in texts:
        examined += 1
        candidate = (job.manifest or {}).get("candidate")
        kernel_types[candidate["kernel_type"] if candidate else NO_VALUE] += 1
        spent = (job.result or {}).get("timings_s") or {}
        for stage, values in times.items():
            if spent.get(stage) is not None:
                values.append(spent[stage])
    return kernel_types, times, examined
