"""A whole result for people, as `kbd show` prints it.

The page is a list of sections, each a function of the result that yields lines or nothing; what was not
measured has no line. Texts of users pass through `printable`.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kbd.daemon.cli import wording
from kbd.daemon.cli.printable import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

    from kbd.outbox.correctness import OutputReport
    from kbd.outbox.performance import KernelTiming, Performance, TimingFigures
    from kbd.outbox.result import JobResult, WorkloadResult

Lines = Iterator[Text]

LABEL_COLUMNS: Final = 12
BAR_COLUMNS: Final = 24
LOG_LINES: Final = 40
_STAGES: Final = ("queued", "compile", "load", "correctness", "timing", "device_metrics")


def print_verdict(result: "JobResult", console: "Console") -> None:
    """Print every section that has something to say, a blank line before each but the first."""
    for number, section in enumerate(SECTIONS):
        lines = list(section(result))
        if lines and number:
            console.print()
        for line in lines:
            console.print(line, soft_wrap=True)


def _verdict(result: "JobResult") -> Lines:
    """The one line everybody came for, and where it happened."""
    mark, colour = wording.mark_of(result.status)
    line = Text(f"{mark} ", style=f"bold {colour}")
    line.append(result.job_id, style="bold default")
    line.append(f"  {wording.words(result.status)}", style=f"bold {colour}")
    if result.speedup is not None:
        line.append(
            f"  {_speedup(result.speedup, result.speedup_ci95, significant=result.significant)}",
            style="default",
        )
    yield line
    where = []
    if result.stage is not None:
        where.append(f"stage: {wording.words(result.stage)}")
    if result.blame is not None:
        where.append(f"blame: {result.blame}")
    if result.attempt > 1:
        where.append(f"attempt {result.attempt}")
    if where:
        yield Text("  " + " · ".join(where), style="dim")


def _error(result: "JobResult") -> Lines:
    error = result.error
    if error is None:
        return
    message = Text("  ")
    message.append(f"{one_line(error.type)}: ", style="bold")
    message.append(_indented(error.message).lstrip())
    yield message
    if error.hint:
        yield Text(f"  → {one_line(error.hint)}", style="cyan")
    if error.traceback_tail:
        yield from _quoted(error.traceback_tail)


def _suspicions(result: "JobResult") -> Lines:
    for found in result.suspect:
        yield Text(f"  {found.rule}: {one_line(found.evidence)}", style="red")


def _workloads(result: "JobResult") -> Lines:
    for number, workload in enumerate(result.workloads):
        if number:
            yield Text()
        if len(result.workloads) > 1 or workload.axes:
            yield _workload_heading(workload)
        if workload.correctness is not None:
            for output in workload.correctness.outputs:
                yield from _output(output)
            yield _row(
                "compared",
                f"{wording.counted(workload.correctness.trials, 'trial')}, {workload.correctness.oracle}",
            )
        if workload.performance is not None:
            yield from _performance(workload.performance, headline=len(result.workloads) > 1)


def _workload_heading(workload: "WorkloadResult") -> Text:
    mark, colour = wording.mark_of(workload.status)
    heading = Text(f"  {mark} ", style=colour)
    heading.append(f"workload {one_line(workload.name)}", style="bold default")
    axes = ", ".join(f"{one_line(axis)} = {size}" for axis, size in workload.axes.items())
    heading.append(f"  {axes}" if axes else "", style="dim")
    return heading


def _output(output: "OutputReport") -> Lines:
    """How one output fared; `problem` is the sentence about its worst element."""
    facts = []
    if output.matched_ratio is not None:
        facts.append(f"{_percent(output.matched_ratio)} match")
        facts.append(f"largest error {wording.deviation(output.max_abs_error)}")
        if output.max_rel_error is not None:
            facts.append(f"relative {wording.deviation(output.max_rel_error)}")
    if output.tolerance is not None:
        facts.append(f"allowed {output.tolerance.atol:.2g} + {output.tolerance.rtol:.2g} x |expected|")
    yield _row(f"output {one_line(output.name)}", ", ".join(facts))
    if output.problem:
        yield _row("", one_line(output.problem), style="red")


def _performance(performance: "Performance", *, headline: bool) -> Lines:
    yield from _kernel("candidate", performance.candidate)
    if performance.reference is not None:
        yield from _kernel("reference", performance.reference)
    if headline and performance.speedup is not None:
        said = _speedup(performance.speedup, performance.speedup_ci95, significant=performance.significant)
        yield _row("speed-up", said)
    yield _row("measured", _method(performance))
    beside = []
    if performance.setup_us is not None:
        beside.append(f"set-up {wording.microseconds(performance.setup_us)}")
    if performance.peak_memory_bytes is not None:
        beside.append(f"peak memory {wording.size(performance.peak_memory_bytes)}")
    if performance.floor_us is not None:
        beside.append(f"physical floor {wording.microseconds(performance.floor_us)}")
    if beside:
        yield _row("besides", ", ".join(beside))
    if performance.audit is not None:
        audit = performance.audit
        yield _row("audit", f"{audit.compared} of {audit.bursts} timed bursts compared, {audit.failed} wrong")


def _kernel(role: str, timing: "KernelTiming") -> Lines:
    """Device time and time as called, each on its line; the claim of the kernel's own process beside the first."""
    label = role
    for word, figures in (("on the device", timing.device), ("as called", timing.as_called)):
        if figures is None:
            continue
        claimed = (
            f", claimed {wording.microseconds(timing.claimed.median)}" if timing.claimed and label else ""
        )
        yield _row(label, f"{_figures(figures)} {word}{claimed}")
        label = ""


def _figures(figures: "TimingFigures") -> str:
    median = wording.microseconds(figures.median)
    spread = f"p95 {wording.microseconds(figures.p95)}, {wording.counted(figures.samples, 'sample')}"
    return f"{median:>8}  ({spread})"


def _method(performance: "Performance") -> str:
    parts = [f"by {performance.method}", f"{performance.cache} cache"]
    if performance.input_sets is not None:
        parts.append(wording.counted(performance.input_sets, "input set"))
    if performance.noise is not None:
        parts.append(f"noise {performance.noise:.1%}")
    for said in (performance.method_reason, performance.stop):
        parts.extend([one_line(said)] if said else [])
    return ", ".join(parts)


def _device(result: "JobResult") -> Lines:
    device, environment = result.device, result.environment
    if device is not None:
        facts = [
            one_line(device.name),
            *filter(None, (device.arch, device.driver and f"driver {device.driver}")),
        ]
        if device.clocks_mhz is not None and device.clocks_mhz.after:
            facts.append(" ".join(f"{name} {rate} MHz" for name, rate in device.clocks_mhz.after.items()))
        facts.extend(["throttled"] if device.throttled else [])
        if device.other_processes:
            facts.append(f"{wording.counted(device.other_processes, 'other process')} on it")
        yield _row("device", ", ".join(facts))
    if environment is not None:
        versions = [("kbd", environment.kbd), ("python", environment.python), ("torch", environment.torch)]
        versions += [("triton", environment.triton), ("cuda", environment.cuda)]
        said = ", ".join(f"{name} {one_line(version)}" for name, version in versions if version)
        yield _row("host", f"{one_line(environment.host)} with {said}")
    if result.isolation is not None and result.isolation.missing:
        yield _row("unprotected", "; ".join(map(one_line, result.isolation.missing)), style="yellow")


def _where_time_went(result: "JobResult") -> Lines:
    spent = [(stage, getattr(result.timings_s, stage)) for stage in _STAGES]
    known = [(stage, value) for stage, value in spent if value is not None]
    longest = max((value for _, value in known), default=0.0)
    for place, (stage, value) in enumerate(known):
        line = _row("time" if place == 0 else "", f"{wording.words(stage):<12}{wording.seconds(value):>8}  ")
        line.append("━" * round(BAR_COLUMNS * value / longest) if longest else "", style="cyan")
        yield line
    if result.timings_s.total is not None:
        yield _row(
            "" if known else "time",
            f"{'in all':<12}{wording.seconds(result.timings_s.total):>8}",
            style="bold",
        )


def _remarks(result: "JobResult") -> Lines:
    for candidate in result.weak_test:
        yield Text(f"  weak test: {one_line(candidate)} would have passed as well", style="yellow")
    if result.pinned_inputs:
        yield Text("  some inputs were the same in every trial", style="dim")
    if result.interpreted:
        yield Text("  the kernel ran in an interpreter: its times mean nothing", style="yellow")
    for note in result.notes:
        yield Text(f"  note: {one_line(note)}", style="dim")


def _logs(result: "JobResult") -> Lines:
    for role, text in (("candidate", result.logs.candidate), ("reference", result.logs.reference)):
        if text.strip():
            yield Text(f"  what the {role} printed", style="bold")
            yield from _quoted(text)
    if result.logs.truncated:
        yield Text("  (the middle was cut)", style="dim")


SECTIONS: Final[tuple[Callable[["JobResult"], Lines], ...]] = (
    _verdict,
    _error,
    _suspicions,
    _workloads,
    _device,
    _where_time_went,
    _remarks,
    _logs,
)


def _row(label: str, said: str, *, style: str = "") -> Text:
    line = Text("  ")
    line.append(label.ljust(LABEL_COLUMNS), style="dim")
    line.append(said, style=style)
    return line


def _quoted(text: str) -> Lines:
    """The last lines of a user's text behind a bar; the whole of it is in the result file."""
    lines = printable(text).rstrip("\n").split("\n")
    if len(lines) > LOG_LINES:
        yield Text(f"  │ … {len(lines) - LOG_LINES} lines before; all of them: kbd show --json", style="dim")
    for line in lines[-LOG_LINES:]:
        quoted = Text("  │ ", style="dim")
        quoted.append(line.expandtabs(), style="not dim")
        yield quoted


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in printable(text).strip().split("\n"))


def _speedup(factor: float, interval: tuple[float, float] | None, *, significant: bool | None) -> str:
    said = f"{wording.speedup(factor)} speed-up"
    if interval is None:
        return said
    low, high = interval
    certainty = "" if significant else ", not significant"
    return f"{said} (95 % interval {wording.speedup(low)} to {wording.speedup(high)}{certainty})"


def _percent(ratio: float) -> str:
    """Never rounded up to all: 0.99999 is `99.99 %`, not `100 %`."""
    return "100 %" if ratio == 1 else f"{min(ratio * 100, 99.99):.2f} %"
