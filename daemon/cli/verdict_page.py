"""A whole result for people, as `kbd show` prints it.

The page is a list of sections, each a function of the result that yields lines or nothing; what was not
measured has no line. Texts of users pass through `printable`.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kbd.daemon.cli import wording
from kbd.daemon.cli.page_line import Line, indented, print_line, quoted, row
from kbd.daemon.cli.printable import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console

    from kbd.outbox.correctness import Correctness, OutputReport
    from kbd.outbox.performance import KernelTiming, Performance, TimingFigures
    from kbd.outbox.result import JobResult, WorkloadResult

BAR_COLUMNS: Final = 24
_STAGES: Final = ("queued", "compile", "load", "correctness", "timing", "device_metrics")


Lines = Iterator[Line]


def print_verdict(result: "JobResult", console: "Console") -> None:
    """Print every section that has something to say, a blank line before each but the first."""
    for number, section in enumerate(SECTIONS):
        lines = list(section(result))
        if lines and number:
            console.print()
        for line in lines:
            print_line(line, console)


def _verdict(result: "JobResult") -> Lines:
    """The one line everybody came for, and where it happened."""
    mark, colour = wording.mark_of(result.status)
    said = Text(result.job_id, style="bold")
    said.append(f"  {wording.words(result.status)}", style=colour)
    if result.speedup is not None:
        factor = _speedup(result.speedup, result.speedup_ci95, significant=result.significant)
        said.append(f"  {factor}", style="not bold")
    yield Line(Text(f"{mark} ", style=f"bold {colour}"), said)
    where = [
        f"stage: {wording.words(result.stage)}" if result.stage else "",
        f"blame: {result.blame}" if result.blame else "",
        f"attempt {result.attempt}" if result.attempt > 1 else "",
    ]
    if any(where):
        yield indented(" · ".join(filter(None, where)), style="dim")


def _error(result: "JobResult") -> Lines:
    error = result.error
    if error is None:
        return
    message = Text("" if error.type == result.status else f"{one_line(error.type)}: ", style="bold")
    message.append(printable(error.message).strip(), style="not bold")
    yield Line(Text("  "), message)
    if error.hint:
        yield Line(Text("  → ", style="cyan"), Text(one_line(error.hint), style="cyan"))
    if error.traceback_tail:
        yield from quoted(error.traceback_tail)


def _suspicions(result: "JobResult") -> Lines:
    for found in result.suspect:
        yield indented(f"{found.rule}: {one_line(found.evidence)}", style="red")


def _workloads(result: "JobResult") -> Lines:
    known = result.error.message if result.error else ""
    for number, workload in enumerate(result.workloads):
        if number:
            yield indented("")
        if len(result.workloads) > 1 or workload.axes:
            yield _workload_heading(workload)
        if workload.correctness is not None:
            yield from _correctness(workload.correctness, known)
        if workload.performance is not None:
            yield from _performance(workload.performance, headline=len(result.workloads) > 1)


def _workload_heading(workload: "WorkloadResult") -> Line:
    mark, colour = wording.mark_of(workload.status)
    said = Text(f"workload {one_line(workload.name)}", style="bold")
    axes = ", ".join(f"{one_line(axis)} = {size}" for axis, size in workload.axes.items())
    said.append(f"  {axes}" if axes else "", style="not bold dim")
    return Line(Text(f"  {mark} ", style=colour), said)


def _correctness(correctness: "Correctness", known: str) -> Lines:
    """Each output's figures; the sentence about its worst element unless the error has said it."""
    for output in correctness.outputs:
        yield row("output", f"{one_line(output.name)}: {_output_figures(output)}")
        if output.problem and output.problem not in known:
            yield row("", one_line(output.problem), style="red")
    trials = wording.counted(correctness.trials, "trial")
    extra = f" and {correctness.extra_trials} of kbd's own" if correctness.extra_trials else ""
    yield row("compared", f"{trials}{extra}, with the {one_line(correctness.oracle)}")


def _output_figures(output: "OutputReport") -> str:
    facts = []
    if output.matched_ratio is not None:
        facts.append(f"{_percent(output.matched_ratio)} match")
        facts.append(f"largest error {wording.deviation(output.max_abs_error)}")
        if output.max_rel_error is not None:
            facts.append(f"relative {wording.deviation(output.max_rel_error)}")
    if output.tolerance is not None:
        facts.append(f"allowed {output.tolerance.atol:.2g} + {output.tolerance.rtol:.2g} x |expected|")
    return ", ".join(facts) or "not compared"


def _performance(performance: "Performance", *, headline: bool) -> Lines:
    yield from _kernel("candidate", performance.candidate)
    if performance.reference is not None:
        yield from _kernel("reference", performance.reference)
    if headline and performance.speedup is not None:
        said = _speedup(performance.speedup, performance.speedup_ci95, significant=performance.significant)
        yield row("speed-up", said)
    yield row("measured", _method(performance))
    beside = []
    if performance.setup_us is not None:
        beside.append(f"set-up {wording.microseconds(performance.setup_us)}")
    if performance.peak_memory_bytes is not None:
        beside.append(f"peak memory {wording.size(performance.peak_memory_bytes)}")
    if performance.floor_us is not None:
        beside.append(f"physical floor {wording.microseconds(performance.floor_us)}")
    if beside:
        yield row("besides", ", ".join(beside))
    if performance.audit is not None:
        audit = performance.audit
        yield row("audit", f"{audit.compared} of {audit.bursts} timed bursts compared, {audit.failed} wrong")


def _kernel(role: str, timing: "KernelTiming") -> Lines:
    """Device time and time as called, each on its line; the claim of the kernel's own process beside the first."""
    label = role
    for word, figures in (("on the device", timing.device), ("as called", timing.as_called)):
        if figures is None:
            continue
        claimed = (
            f", claimed {wording.microseconds(timing.claimed.median)}" if timing.claimed and label else ""
        )
        yield row(label, f"{_figures(figures)} {word}{claimed}")
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
        yield row("device", ", ".join(facts))
    if environment is not None:
        versions = [("kbd", environment.kbd), ("python", environment.python), ("torch", environment.torch)]
        versions += [("triton", environment.triton), ("cuda", environment.cuda)]
        said = ", ".join(f"{name} {one_line(version)}" for name, version in versions if version)
        yield row("host", f"{one_line(environment.host)} with {said}")
    if result.isolation is not None and result.isolation.missing:
        yield row("unprotected", "; ".join(map(one_line, result.isolation.missing)), style="yellow")


def _where_time_went(result: "JobResult") -> Lines:
    spent = [(stage, getattr(result.timings_s, stage)) for stage in _STAGES]
    known = [(stage, value) for stage, value in spent if value is not None]
    longest = max((value for _, value in known), default=0.0)
    for place, (stage, value) in enumerate(known):
        line = row("" if place else "time", f"{wording.words(stage):<14}{wording.seconds(value):>8}  ")
        line.said.append("━" * round(BAR_COLUMNS * value / longest) if longest else "", style="cyan")
        yield line
    if result.timings_s.total is not None:
        yield row(
            "" if known else "time",
            f"{'in all':<14}{wording.seconds(result.timings_s.total):>8}",
            style="bold",
        )


def _remarks(result: "JobResult") -> Lines:
    for candidate in result.weak_test:
        yield indented(f"weak test: {one_line(candidate)} would have passed as well", style="yellow")
    if result.pinned_inputs:
        yield indented("some inputs were the same in every trial", style="dim")
    if result.interpreted:
        yield indented("the kernel ran in an interpreter: its times mean nothing", style="yellow")
    for note in result.notes:
        yield indented(f"note: {one_line(note)}", style="dim")


def _logs(result: "JobResult") -> Lines:
    for role, text in (("candidate", result.logs.candidate), ("reference", result.logs.reference)):
        if text.strip():
            yield indented(f"what the {role} printed", style="bold")
            yield from quoted(text)
    if result.logs.truncated:
        yield indented("(the middle was cut)", style="dim")


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


def _speedup(factor: float, interval: tuple[float, float] | None, *, significant: bool | None) -> str:
    said = f"{wording.speedup(factor)} speed-up"
    if interval is None:
        return said
    low, high = interval
    certainty = "" if significant else ", not significant"
    return f"{said} (95% interval {wording.speedup(low)} to {wording.speedup(high)}{certainty})"


def _percent(ratio: float) -> str:
    """Never rounded to all or none: 0.99999 is `99.99%`."""
    return f"{ratio:.0%}" if ratio in (0, 1) else f"{min(max(ratio * 100, 0.01), 99.99):.2f}%"
