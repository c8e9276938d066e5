"""What `kbd submit` was given, as files to read and deliver: also what came by a pipe or as a bare pair."""

import hashlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from kbd.inbox.names import JOB_DOCUMENTS, JOB_FOLDER_SUFFIX, MANIFEST_SUFFIXES, NAME_PATTERN, is_ignored

STDIN = Path("-")
_ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class JobSource:
    """A manifest or job folder at `path`, and what its author calls it."""

    path: Path
    shown: str


@contextmanager
def job_sources(
    files: Sequence[Path], reference: Path | None, job_id: str | None
) -> Iterator[list[JobSource]]:
    """The jobs that a command line names; what had to be written for them is gone afterwards.

    Args:
        files: manifests and job folders, `-` for a manifest on stdin; with a reference: candidates.
        reference: a module with `Model` and `get_inputs()`, for all candidates.
        job_id: for the one job that has no other name.
    """
    _check(files, reference, job_id)
    with TemporaryDirectory(prefix="kbd-submit-") as folder:
        if reference is not None:
            yield [_pair(Path(folder), reference, file, job_id or file.stem) for file in files]
        else:
            yield [source for file in files for source in _sources(file, Path(folder), job_id)]


def _check(files: Sequence[Path], reference: Path | None, job_id: str | None) -> None:
    for file in files if reference is not None else ():
        if not file.is_file():
            raise click.UsageError(f"with --ref each FILE is the module of a candidate, found {file}")
    if list(files).count(STDIN) > 1:
        raise click.UsageError("stdin holds one manifest: give - once")
    if job_id is None:
        return
    if not NAME_PATTERN.fullmatch(job_id):
        raise click.UsageError(
            f"--id {job_id!r}: expected up to 128 of the characters A-Z a-z 0-9 . _ -, "
            "beginning with a letter or digit"
        )
    if len(files) != 1 or (reference is None and files[0] != STDIN):
        raise click.UsageError(
            "--id names the one job that has no file name of its own: one FILE with --ref, or - for stdin"
        )


def _sources(file: Path, folder: Path, job_id: str | None) -> list[JobSource]:
    """One job, or all that lie in a folder that is none itself."""
    if file == STDIN:
        return [_from_stdin(folder, job_id)]
    if not file.is_dir() or file.name.endswith(JOB_FOLDER_SUFFIX):
        return [JobSource(file.absolute(), str(file))]
    endings = (*MANIFEST_SUFFIXES, JOB_FOLDER_SUFFIX)
    inside = sorted(file.iterdir())
    if any(path.name in JOB_DOCUMENTS for path in inside):
        raise click.UsageError(f"{file} holds a job document: call the folder {file.name}{JOB_FOLDER_SUFFIX}")
    jobs = [path for path in inside if path.name.endswith(endings) and not is_ignored(path.name)]
    if not jobs:
        raise click.UsageError(
            f"{file} holds no job: expected files or folders that end in {', '.join(endings)}"
        )
    return [JobSource(path.absolute(), str(path)) for path in jobs]


def _pair(folder: Path, reference: Path, candidate: Path, name: str) -> JobSource:
    job = folder / str(len(list(folder.iterdir()))) / f"{name}.job"
    job.mkdir(parents=True)
    shutil.copyfile(reference, job / "reference.py")
    shutil.copyfile(candidate, job / "candidate.py")
    return JobSource(job, f"{candidate} against {reference}")


def _from_stdin(folder: Path, job_id: str | None) -> JobSource:
    """The same text always gets the same name, so handing it in twice is one job."""
    data = sys.stdin.buffer.read()
    name = job_id or f"job-{hashlib.sha256(data).hexdigest()[:_ID_DIGITS]}"
    path = folder / f"{name}.yaml"
    path.write_bytes(data)
    return JobSource(path, "stdin")
