"""A job in words and coordinates, as the page shows it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kbd.daemon.cli import wording
from kbd.daemon.cli.report.distribution import Distribution, distribution
from kbd.daemon.cli.report.scales import Scale, factor_scale
from kbd.daemon.cli.verdict_line import what_went_wrong
from kbd.daemon.cli.verdict_workloads import launch_words, output_words

if TYPE_CHECKING:
    from kbd.daemon.cli.report.reported_jobs import ReportedJob
    from kbd.outbox.correctness import OutputReport
    from kbd.outbox.performance import Performance
    from kbd.outbox.result import JobResult, WorkloadResult

STRIP_WIDTH: Final = 120
STRIP_ENDS: Final = (6, 114)
TEXT_LIMIT_CHARS: Final = 4_000
_TONES: Final = {"green": "good", "red": "bad", "yellow": "warn", "dim": "none"}
_VERSIONS: Final = ("torch", "triton", "cuda", "nvcc", "python", "kbd")

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """A speed-up and its interval on the scale that all rows share."""

    even: float
    at: float
    interval: tuple[float, float] | None
    tone: str
    width: int = STRIP_WIDTH


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """What is known of one workload; `title` is empty where it is the only one."""

    title: str
    tone: str
    outputs: Facts
    times: Facts
    chart: Distribution | None


@dataclass(frozen=True, slots=True)
class JobView:
    """One row of the table, and what unfolds below it. Numbers beside the words are what rows are sorted by."""

    number: int
    job_id: str
    verdict: str
    mark: str
    tone: str
    speedup: str
    speedup_value: float | None
    interval: str
    strip: Strip | None
    candidate: str
    candidate_us: float | None
    reference: str
    reference_us: float | None
    device: str
    owner: str
    ended: str
    ended_at: float | None
    gist: str
    labels: Facts
    error: str
    traceback: str
    suspicions: Facts
    workloads: tuple[WorkloadView, ...]
    provenance: Facts
    remarks: tuple[str, ...]
    timed: bool


def job_views(jobs: Sequence["ReportedJob"]) -> list[JobView]:
    """All jobs, on one scale of speed-ups."""
    factors = [factor for job in jobs for factor in _factors(job.result)]
    scale = factor_scale(factors, *STRIP_ENDS) if factors else None
    return [_view(number, job, scale) for number, job in enumerate(jobs, 1)]


def verdict_counts(jobs: Iterable["ReportedJob"]) -> list[tuple[str, str, int]]:
    """Verdict, tone and number, the most frequent first."""
    counts = Counter(job.result.status.value for job in jobs)
    return [(wording.words(status), tone_of(status), number) for status, number in counts.most_common()]


def tone_of(status: str) -> str:
    """The class of the colours of a verdict."""
    return _TONES[wording.mark_of(status)[1]]


def moment(seconds: float | None) -> str:
    """A time in UTC, which is the same wherever the report is read."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _factors(result: "JobResult") -> list[float]:
    return [factor for factor in (result.speedup, *(result.speedup_ci95 or ())) if factor is not None]


def _view(number: int, job: "ReportedJob", scale: Scale | None) -> JobView:
    result = job.result
    candidate, reference = _median(result, "candidate"), _median(result, "reference")
    error = result.error
    return JobView(
        number=number,
        job_id=result.job_id,
        verdict=wording.words(result.status),
        mark=wording.mark_of(result.status)[0],
        tone=tone_of(result.status),
        speedup=wording.speedup(result.speedup) if result.speedup is not None else "",
        speedup_value=result.speedup,
        interval=_interval(result),
        strip=_strip(result, scale),
        candidate=wording.microseconds(candidate) if candidate is not None else "",
        candidate_us=candidate,
        reference=wording.microseconds(reference) if reference is not None else "",
        reference_us=reference,
        device=result.device.name if result.device is not None else "",
        owner=job.owner or "",
        ended=moment(job.ended_at),
        ended_at=job.ended_at,
        gist="" if result.passed else what_went_wrong(result),
        labels=tuple(result.labels.items()),
        error=_cut(f"{error.type}: {error.message}") if error is not None else "",
        traceback=_cut(error.traceback_tail or "", keep_end=True) if error is not None else "",
        suspicions=tuple((found.rule, found.evidence) for found in result.suspect),
        workloads=tuple(_workload(result, workload) for workload in result.workloads),
        provenance=tuple(_provenance(result)),
        remarks=tuple(_remarks(result)),
        timed=any(workload.performance for workload in result.workloads),
    )


def _median(result: "JobResult", role: str) -> float | None:
    """The median time; of several workloads there is none for the job."""
    if len(result.workloads) != 1 or result.workloads[0].performance is None:
        return None
    figures = result.workloads[0].performance.headline("candidate" if role == "candidate" else "reference")
    return figures.median if figures is not None else None


def _interval(result: "JobResult") -> str:
    if result.speedup is None:
        return ""
    if result.speedup_ci95 is None:
        return "no interval"
    said = " to ".join(map(wording.speedup, result.speedup_ci95))
    return said if result.significant else f"{said}, not significant"


def _strip(result: "JobResult", scale: Scale | None) -> Strip | None:
    if scale is None or result.speedup is None:
        return None
    interval = result.speedup_ci95
    tone = "none" if not result.significant else "good" if result.speedup > 1 else "bad"
    ends = (scale.at(interval[0]), scale.at(interval[1])) if interval else None
    return Strip(scale.at(1.0), scale.at(result.speedup), ends, tone)


def _workload(result: "JobResult", workload: "WorkloadResult") -> WorkloadView:
    """Without what the job's error says already, and without a title where it is the only one."""
    axes = ", ".join(f"{name} = {size}" for name, size in workload.axes.items())
    title = "" if len(result.workloads) == 1 and not axes else f"{workload.name}  {axes}".strip()
    known = result.error.message if result.error is not None else ""
    performance = workload.performance
    outputs = workload.correctness.outputs if workload.correctness is not None else ()
    return WorkloadView(
        title=title,
        tone=tone_of(workload.status),
        outputs=tuple((output.name, _output(output, known)) for output in outputs),
        times=tuple(_times(performance)) if performance is not None else (),
        chart=distribution(performance) if performance is not None else None,
    )


def _output(output: "OutputReport", known: str) -> str:
    said = [output_words(output)]
    if output.problem and output.problem not in known:
        said.append(output.problem)
    return "; ".join(said)


def _times(performance: "Performance") -> Iterator[tuple[str, str]]:
    if performance.speedup is not None:
        said = wording.speedup(performance.speedup)
        if performance.speedup_ci95 is not None:
            said += f" (95% interval {' to '.join(map(wording.speedup, performance.speedup_ci95))})"
        yield "speed-up", said if performance.significant else f"{said}, not significant"
    sets = wording.counted(performance.input_sets, "input set") if performance.input_sets else None
    facts = (
        f"by {performance.method}",
        f"{performance.cache} cache",
        sets,
        performance.method_reason,
        performance.stop,
    )
    yield "measured", ", ".join(fact for fact in facts if fact)
    if performance.audit is not None:
        yield "audit", f"{performance.audit.compared} of {performance.audit.bursts} turns compared"
    if performance.peak_memory_bytes is not None:
        yield "peak memory", wording.size(performance.peak_memory_bytes)
    for launch in performance.launches:
        yield "launch", launch_words(launch)


def _provenance(result: "JobResult") -> Iterator[tuple[str, str]]:
    device, environment = result.device, result.environment
    if device is not None:
        facts = (device.name, device.arch, device.uuid, device.driver and f"driver {device.driver}")
        yield "device", ", ".join(fact for fact in facts if fact)
        if device.clocks_mhz is not None and device.clocks_mhz.after:
            rates = (f"{name} {rate} MHz" for name, rate in device.clocks_mhz.after.items())
            yield "clocks", ", ".join(rates) + (", throttled" if device.throttled else "")
        if device.other_processes:
            yield "disturbed by", wording.counted(device.other_processes, "other process")
    if environment is not None:
        versions = [(name, getattr(environment, name)) for name in _VERSIONS]
        yield "host", environment.host
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions if version)
    if result.isolation is not None:
        yield "protected by", ", ".join(result.isolation.layers) or "nothing"
        if result.isolation.missing:
            yield "unprotected", "; ".join(result.isolation.missing)
    spent = [(stage, value) for stage, value in result.timings_s if value is not None]
    if spent:
        yield (
            "kbd's time",
            ", ".join(f"{wording.words(stage)} {wording.seconds(value)}" for stage, value in spent),
        )
    yield "manifest", f"sha256 {result.manifest_sha256}" if result.manifest_sha256 else "unreadable"
    yield "attempt", str(result.attempt)
    if result.seed is not None:
        yield "seed", str(result.seed)


def _remarks(result: "JobResult") -> Iterator[str]:
    for candidate in result.weak_test:
        yield f"weak test: {candidate} would have passed as well"
    if result.pinned_inputs:
        yield "some inputs were the same in every trial"
    if result.interpreted:
        yield wording.INTERPRETED
    if result.device_metrics is not None and result.device_metrics.unavailable:
        yield f"hardware counters: {result.device_metrics.unavailable}"
    yield from result.notes


def _cut(text: str, *, keep_end: bool = False) -> str:
    text = text.strip()
    if len(text) <= TEXT_LIMIT_CHARS:
        return text
    return f"…{text[-TEXT_LIMIT_CHARS:]}" if keep_end else f"{text[:TEXT_LIMIT_CHARS]}…"
