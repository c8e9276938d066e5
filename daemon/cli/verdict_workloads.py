"""What `kbd show` says about each workload: outputs, times, launches."""

from typing import TYPE_CHECKING, Final

from rich.text import Text

from kbd.daemon.cli import wording
from kbd.daemon.cli.page_line import Line, Lines, indented, row
from kbd.daemon.cli.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbd.outbox.correctness import Correctness, OutputReport, WorstElement
    from kbd.outbox.performance import KernelTiming, Launch, Performance, TimingFigures
    from kbd.outbox.result import JobResult, WorkloadResult

LAUNCHES_SHOWN: Final = 8


def workload_lines(result: "JobResult") -> Lines:
    """Each workload: what was compared, how long it took, what was launched."""
    known = result.error.message if result.error else ""
    for number, workload in enumerate(result.workloads):
        if number:
            yield indented("")
        if len(result.workloads) > 1 or workload.axes:
            yield _workload_heading(workload)
        if workload.error is not None and workload.error.message not in known:
            yield row("error", one_line(workload.error.message), style="red")
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
        yield row("output", f"{one_line(output.name)}: {output_words(output)}")
        if output.problem and output.problem not in known:
            yield row("", one_line(output.problem), style="red")
        if output.worst is not None and "; worst at " not in f"{known}{output.problem or ''}":
            yield row("worst", _worst(output.worst), style="red")
    trials = wording.counted(correctness.trials, "trial")
    extra = f" and {correctness.extra_trials} of kbd's own" if correctness.extra_trials else ""
    yield row("compared", f"{trials}{extra}, with the {one_line(correctness.oracle)}")


def _worst(worst: "WorstElement") -> str:
    expected, found = (
        value if isinstance(value, str) else f"{value:.9g}" for value in (worst.expected, worst.found)
    )
    return f"at {list(worst.index)}: expected {expected}, found {found}"


def output_words(output: "OutputReport") -> str:
    """How well an output matches, and what was allowed."""
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
    if performance.reference_alone_us is not None:
        yield row(
            "", f"{wording.microseconds(performance.reference_alone_us)} without the candidate's process"
        )
    if headline and performance.speedup is not None:
        said = speedup_words(
            performance.speedup, performance.speedup_ci95, significant=performance.significant
        )
        yield row("speed-up", said)
    yield row("measured", _method(performance))
    yield from _processes(performance)
    beside = []
    if performance.setup_us is not None:
        beside.append(f"set-up {wording.microseconds(performance.setup_us)}")
    if performance.peak_memory_bytes is not None:
        beside.append(f"peak memory {wording.size(performance.peak_memory_bytes)}")
    if performance.floor_us is not None:
        beside.append(f"physical floor {wording.microseconds(performance.floor_us)}")
    if beside:
        yield row("besides", ", ".join(beside))
    yield from _launches(performance.launches)
    if performance.audit is not None:
        audit = performance.audit
        yield row("audit", f"{audit.compared} of {audit.bursts} timed bursts compared, {audit.failed} wrong")


def _processes(performance: "Performance") -> Lines:
    """What each of several processes, or pairs of them, told."""
    if performance.pairs:
        yield row("pairs", "  ".join(map(wording.speedup, performance.pairs)))
    if performance.processes_us:
        yield row("processes", "  ".join(map(wording.microseconds, performance.processes_us)))


def _launches(launches: "Sequence[Launch]") -> Lines:
    for place, launch in enumerate(launches[:LAUNCHES_SHOWN]):
        yield row("" if place else "launches", launch_words(launch))
    if len(launches) > LAUNCHES_SHOWN:
        yield row("", f"and {len(launches) - LAUNCHES_SHOWN} more; for all use --json", style="dim")


def launch_words(launch: "Launch") -> str:
    """Such as `softmax_kernel, grid 4096 x 1 x 1, 8 warps, 40 registers`."""
    times = f"{launch.count} x " if launch.count > 1 else ""
    facts = [f"{times}{one_line(launch.kernel)}"]
    for word, shape in (("grid", launch.grid), ("block", launch.block)):
        facts.extend([f"{word} {' x '.join(map(str, shape))}"] if shape else [])
    for number, noun in (
        (launch.num_warps, "warp"),
        (launch.registers, "register"),
        (launch.spills, "spill"),
    ):
        facts.extend([wording.counted(number, noun)] if number else [])
    facts.extend([f"{wording.size(launch.shared_bytes)} shared"] if launch.shared_bytes else [])
    return ", ".join(facts)


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
    if performance.noise is not None and not (performance.stop or "").startswith("noise"):
        parts.append(f"noise {performance.noise:.1%}")
    for said in (performance.method_reason, performance.stop):
        parts.extend([one_line(said)] if said else [])
    return ", ".join(parts)


def speedup_words(factor: float, interval: tuple[float, float] | None, *, significant: bool | None) -> str:
    """A speed-up with its interval, and whether it could as well be none."""
    said = f"{wording.speedup(factor)} speed-up"
    if interval is None:
        return said
    low, high = interval
    certainty = "" if significant else ", not significant"
    return f"{said} (95% interval {wording.speedup(low)} to {wording.speedup(high)}{certainty})"


def _percent(ratio: float) -> str:
    """Never rounded to all or none: 0.99999 is `99.99%`."""
    return f"{ratio:.0%}" if ratio in (0, 1) else f"{min(max(ratio * 100, 0.01), 99.99):.2f}%"
