"""A whole result for people, as `kbd show` prints it.

The page is a list of sections, each a function of the result that yields lines or nothing; what was not
measured has no line. Texts of users pass through `printable`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kbd.daemon.cli import wording
from kbd.daemon.cli.page_line import Line, Lines, indented, print_line, quoted, row
from kbd.daemon.cli.printable import one_line, printable
from kbd.daemon.cli.verdict_samples import samples_section
from kbd.daemon.cli.verdict_workloads import speedup_words, workload_lines

if TYPE_CHECKING:
    from rich.console import Console

    from kbd.outbox.report import MemoryReport
    from kbd.outbox.result import JobResult

BAR_COLUMNS: Final = 20
_STAGES: Final = ("queued", "compile", "load", "correctness", "timing", "device_metrics")

Section = Callable[["JobResult"], Lines]


def print_verdict(result: "JobResult", console: "Console", *, plotted: bool = False) -> None:
    """Print every section that has something to say, a blank line before each but the first."""
    sections = [*ABOUT_THE_KERNEL, *([samples_section(console.width)] if plotted else []), *AROUND_IT]
    for number, section in enumerate(sections):
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
        factor = speedup_words(result.speedup, result.speedup_ci95, significant=result.significant)
        said.append(f"  {factor}", style="not bold")
    yield Line(Text(f"{mark} ", style=f"bold {colour}"), said)
    where = [
        f"stage: {wording.words(result.stage)}" if result.stage else "",
        f"blame: {result.blame}" if result.blame else "",
        f"attempt {result.attempt}" if result.attempt > 1 else "",
        *(f"{one_line(key)}={one_line(value)}" for key, value in result.labels.items()),
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
    if error.memory is not None and (known := _memory(error.memory)):
        yield row("memory", known)
    if error.traceback_tail:
        yield from quoted(error.traceback_tail)


def _memory(memory: "MemoryReport") -> str:
    figures = (("needed", memory.needed_bytes), ("free", memory.free_bytes), ("at most", memory.limit_bytes))
    known = ", ".join(f"{word} {wording.size(nbytes)}" for word, nbytes in figures if nbytes is not None)
    return f"{known} on the {memory.where}" if known else ""


def _suspicions(result: "JobResult") -> Lines:
    for found in result.suspect:
        yield indented(f"{found.rule}: {one_line(found.evidence)}", style="red")


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
        yield indented(wording.INTERPRETED, style="yellow")
    if result.device_metrics is not None and result.device_metrics.unavailable:
        yield indented(f"hardware counters: {one_line(result.device_metrics.unavailable)}", style="dim")
    for note in result.notes:
        yield indented(f"note: {one_line(note)}", style="dim")


def _logs(result: "JobResult") -> Lines:
    for role, text in (("candidate", result.logs.candidate), ("reference", result.logs.reference)):
        if text.strip():
            yield indented(f"what the {role} printed", style="bold")
            yield from quoted(text)
    if result.logs.truncated:
        yield indented("(the middle was cut)", style="dim")


ABOUT_THE_KERNEL: Final[tuple[Section, ...]] = (_verdict, _error, _suspicions, workload_lines)
AROUND_IT: Final[tuple[Section, ...]] = (_device, _where_time_went, _remarks, _logs)
