"""What can be said about a file that wants to be a job."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.printable import printable
from kbd.daemon.cli.wording import counted
from kbd.inbox.errors import InboxError, InvalidJob, Problem

if TYPE_CHECKING:
    from kbd.inbox.job_file import JobFile
    from kbd.inbox.manifest import JobManifest


@dataclass(frozen=True, slots=True)
class Finding:
    """A file that is a valid job (`job`), is none (`problems`), or could not be read (`unreadable`)."""

    shown: str
    job: "JobFile | None" = None
    problems: tuple[Problem, ...] = ()
    unreadable: str | None = None

    @property
    def code(self) -> ExitCode:
        """What a command that found only this ends with."""
        if self.unreadable is not None:
            return ExitCode.UNUSABLE
        return ExitCode.OK if self.job is not None else ExitCode.REJECTED

    @property
    def doubts(self) -> tuple[str, ...]:
        """What does not keep it from being a job, and will probably not be as its author wants."""
        return () if self.job is None else tuple(_doubts(self.job.manifest))

    def as_document(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "file": self.shown,
            "valid": self.job is not None,
            "job_id": None if self.job is None else self.job.job_id,
            "problems": [asdict(problem) for problem in self.problems],
            "doubts": list(self.doubts),
            "unreadable": self.unreadable,
        }

    def complaint(self) -> str:
        """Everything that is wrong with it, as text."""
        if self.unreadable is not None:
            why = self.unreadable.removeprefix(f"{Path(self.shown).name}: ")
            return f"{self.shown} cannot be read: {why}"
        lines = "\n".join(f"  {line}" for problem in self.problems for line in str(problem).splitlines())
        return f"{self.shown} is no job:\n{lines}"


def examine(source: Path, shown: str | None = None) -> Finding:
    """Read a file or folder as the daemon would; `shown` is what its author calls it."""
    from kbd.inbox.job_file import read_job

    name = shown or str(source)
    try:
        job = read_job(source.absolute())
        problems = _disagreements(job)
    except InvalidJob as error:
        return Finding(name, problems=error.problems)
    except InboxError as error:
        return Finding(name, unreadable=str(error))
    except OSError as error:
        return Finding(name, unreadable=f"{error.filename or source.name}: {error.strerror or error}")
    return Finding(name, problems=problems) if problems else Finding(name, job=job)


def _disagreements(job: "JobFile") -> tuple[Problem, ...]:
    """What a judge would find wrong with the data files, with the lines of the document that name them."""
    from kbd.inbox.data_agreement import data_file_disagreements
    from kbd.inbox.folder_files import ReadLimits
    from kbd.inbox.safe_load import load_document, read_bounded

    problems = tuple(data_file_disagreements(job))
    if not problems:
        return ()
    text = read_bounded(job.document_path, ReadLimits().manifest_bytes)
    return load_document(text, job.document_path.suffix).with_lines(problems)


def print_as_text(findings: Sequence[Finding]) -> ExitCode:
    """Good ones on stdout, complaints on stderr; the worst exit code."""
    for finding in findings:
        if finding.job is None:
            click.echo(printable(finding.complaint()), err=True)
        else:
            click.echo(printable(f"{finding.shown}: {_described(finding.job.manifest)}"))
            print_doubts(finding)
    return max((finding.code for finding in findings), default=ExitCode.OK)


def print_doubts(finding: Finding) -> None:
    """On stderr, a line each."""
    for doubt in finding.doubts:
        click.echo(printable(f"{finding.shown}: doubtful: {doubt}"), err=True)


def _doubts(manifest: "JobManifest") -> Iterator[str]:
    from kbd.backends.registry import closest_kernel_type, why_unknown
    from kbd.daemon.unmeasured import unmeasured

    kernels = [kernel for kernel in (manifest.reference, manifest.candidate) if kernel is not None]
    for kernel_type in dict.fromkeys(kernel.kernel_type for kernel in kernels):
        if said := why_unknown(kernel_type):
            meant = closest_kernel_type(kernel_type)
            yield f"{said}; {meant or 'the daemon needs a plug-in for it'}"
    if manifest.io is None and not any("get_inputs" in kernel.source_code for kernel in kernels):
        yield (
            "nothing says what the kernels are called with: add `io` to the job, or a function get_inputs() to "
            "the reference"
        )
    yield from unmeasured(manifest.evaluation)


def print_as_json(findings: Sequence[Finding]) -> ExitCode:
    """All on stdout; the worst exit code."""
    click.echo(
        json.dumps({"schema_version": 1, "files": [finding.as_document() for finding in findings]}, indent=2)
    )
    return max((finding.code for finding in findings), default=ExitCode.OK)


def _described(manifest: "JobManifest") -> str:
    """Such as `valid job softmax, triton against torch, 3 workloads`."""
    reference = manifest.reference
    against = "without a reference" if reference is None else f"against {reference.kernel_type}"
    workloads = counted(max(1, len(manifest.workloads)), "workload")
    return f"valid job {manifest.id}, {manifest.candidate.kernel_type} {against}, {workloads}"
