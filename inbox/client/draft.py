"""What a program gave to `Client.submit`, as a file or folder that is checked before anything is delivered."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from kbd.inbox.errors import InvalidJob, Problem
from kbd.inbox.job_file import JobFile, read_job
from kbd.inbox.names import JOB_FOLDER_SUFFIX, NAME_PATTERN

_ID_DIGITS = 16

SideFiles = Mapping[str, str | bytes | os.PathLike[str]]
"""Files of a job by their names: a text, bytes, or where a file lies."""


@contextmanager
def drafted(
    job: Mapping[str, Any] | str | os.PathLike[str] | None, files: SideFiles | None, job_id: str | None
) -> "Iterator[tuple[Path, JobFile]]":
    """The job at a path of its own name, read and found valid; what had to be written is gone afterwards.

    Raises:
        TypeError, ValueError: arguments that do not go together.
        InvalidJob: it is no job; `.problems` says everything.
        InboxError, OSError: it cannot be read.
    """
    if isinstance(job, str | os.PathLike):
        if files is not None or job_id is not None:
            raise TypeError("a job that is a path has its files and its name: give neither files nor job_id")
        path = Path(job).absolute()
        yield path, read_job(path)
        return
    if job is None and not files:
        raise TypeError("nothing to submit: give a job (a mapping or a path), files, or both")
    if job_id is not None and NAME_PATTERN.fullmatch(job_id) is None:
        raise ValueError(f"job_id: expected an id matching {NAME_PATTERN.pattern}, found {job_id!r}")
    with TemporaryDirectory(prefix="kbd-submit-") as folder:
        path = _write(
            Path(folder), None if job is None else _text_of(job), files or {}, _declared(job) or job_id
        )
        yield path, read_job(path)


def _declared(job: Mapping[str, Any] | None) -> str | None:
    declared = None if job is None else job.get("id")
    return declared if isinstance(declared, str) and NAME_PATTERN.fullmatch(declared) else None


def _text_of(job: Mapping[str, Any]) -> bytes:
    """As JSON, keys sorted, so that the same job is always the same bytes."""
    try:
        return json.dumps(dict(job), sort_keys=True, allow_nan=False, indent=1).encode() + b"\n"
    except (TypeError, ValueError) as error:
        hint = "use plain dicts, lists, text, finite numbers, True, False and None"
        raise InvalidJob([Problem("", f"the job is no plain data: {error}", hint=hint)]) from error


def _write(folder: Path, document: bytes | None, files: SideFiles, name: str | None) -> Path:
    """A manifest alone, or a folder with it. What has no name gets one of its content."""
    draft = folder / "draft"
    if not files:
        draft.write_bytes(document or b"")
        return draft.rename(folder / f"{name or _content_name([draft])}.json")
    draft.mkdir()
    for file_name, content in files.items():
        _put(draft, file_name, content)
    if document is not None:
        (draft / "job.json").write_bytes(document)
    written = sorted(path for path in draft.rglob("*") if path.is_file())
    return draft.rename(folder / f"{name or _content_name(written)}{JOB_FOLDER_SUFFIX}")


def _put(folder: Path, name: str, content: str | bytes | os.PathLike[str]) -> None:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or any(part == ".." or part.startswith(".") for part in parts):
        raise ValueError(
            f"files: expected names such as kernel.py inside of the job's folder, found {name!r}"
        )
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, os.PathLike):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _content_name(paths: list[Path]) -> str:
    """The same content always gets the same name, so submitting it twice is one job."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return f"job-{digest.hexdigest()[:_ID_DIGITS]}"
