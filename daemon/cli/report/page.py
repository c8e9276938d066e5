"""The page itself: template, style and script made one file, under a policy that lets nothing else run."""

import base64
import hashlib
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import jinja2
from markupsafe import Markup, escape

from kbd.daemon.cli.printable import printable
from kbd.daemon.cli.report.history import MOST_CHARTS, charts
from kbd.daemon.cli.report.job_view import job_views, moment, verdict_counts
from kbd.daemon.cli.report.scales import Scale
from kbd.daemon.cli.wording import speedup

if TYPE_CHECKING:
    from kbd.daemon.cli.report.reported_jobs import Reported, ReportedJob

BAR_WIDTH: Final = 1_000
_BETWEEN_WORDS: Final = re.compile(r"([-_.])(?=\w)")
SHADES: Final = 4
"""So many verdicts of one tone can be told apart: `.shade-0` to `.shade-3` of the style."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above the report. `made_at`: Unix seconds."""

    title: str
    spool: str
    selection: str
    made_at: float
    version: str


def render(reported: "Reported", heading: Heading, *, label: str | None = None) -> str:
    """The whole file. `label`: by which the history groups jobs, instead of by kernel names."""
    jobs = reported.jobs
    style, script = _part("style.css"), _part("table.js")
    histories = charts(jobs, label)
    return (
        _environment()
        .get_template("page.html")
        .render(
            heading=heading,
            made=moment(heading.made_at),
            style=Markup(style),  # noqa: S704 - kbd's own file
            script=Markup(script),  # noqa: S704 - kbd's own file
            policy=_policy(style, script),
            jobs=job_views(jobs),
            unfinished=reported.unfinished,
            damaged=reported.damaged,
            passed=sum(job.result.passed for job in jobs),
            faster=sum(bool(job.result.significant and (job.result.speedup or 0) > 1) for job in jobs),
            speedups=_speedups(jobs),
            owned=any(job.owner for job in jobs),
            bar=_bar(jobs),
            bar_width=BAR_WIDTH,
            charts=histories,
            charts_are_all=len(histories) < MOST_CHARTS,
            circumstances=_circumstances(jobs),
        )
    )


def _speedups(jobs: Sequence["ReportedJob"]) -> dict[str, str | int]:
    """Of all jobs that have one; nothing where none has."""
    known = [job.result.speedup for job in jobs if job.result.speedup is not None]
    if not known:
        return {}
    return {"median": speedup(statistics.median(known)), "best": speedup(max(known)), "jobs": len(known)}


def _environment() -> jinja2.Environment:
    """Everything is escaped; what a terminal or a reader's eye would be misled by is written out before."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(name: str) -> Markup:
    """A name that is broken between its words where it does not fit."""
    return Markup(_BETWEEN_WORDS.sub(r"\1<wbr>", str(escape(printable(name)))))  # noqa: S704 - escaped


@cache
def _part(name: str) -> str:
    return files("kbd.daemon.cli.report").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing is fetched, and only this very style and script are obeyed."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _bar(jobs: Sequence["ReportedJob"]) -> list[tuple[str, str, int, int, float, float]]:
    """Verdict, tone, its shade of it, number, and where its part of the bar begins and how wide it is."""
    scale, parts, met = Scale(0, max(len(jobs), 1), 0, BAR_WIDTH), [], 0
    met_tones = Counter[str]()
    for verdict, tone, number in verdict_counts(jobs):
        width = round(scale.at(met + number) - scale.at(met), 1)
        parts.append((verdict, tone, met_tones[tone] % SHADES, number, scale.at(met), width))
        met += number
        met_tones[tone] += 1
    return parts


def _circumstances(jobs: Sequence["ReportedJob"]) -> list[tuple[tuple[str, ...], int]]:
    """Device, driver, torch, triton, kbd and host, and how many jobs had just these."""
    counts: dict[tuple[str, ...], int] = {}
    for job in jobs:
        device, environment = job.result.device, job.result.environment
        if device is None or environment is None:
            continue
        values = (
            device.name,
            device.driver,
            environment.torch,
            environment.triton,
            environment.kbd,
            environment.host,
        )
        key = tuple(value or "none" for value in values)
        counts[key] = counts.get(key, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])
