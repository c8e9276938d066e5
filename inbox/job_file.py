"""A delivered job on disk: a manifest file, or a folder with a manifest and the files it names."""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from kbd.inbox.errors import InvalidJob, Problem
from kbd.inbox.folder_files import ArrivingFiles, FolderFiles, ReadLimits, SideFile
from kbd.inbox.formats.kernelbench import is_pair_of, pair_document
from kbd.inbox.formats.registry import parse_manifest
from kbd.inbox.manifest import JobManifest
from kbd.inbox.names import JOB_DOCUMENTS, JOB_FOLDER_SUFFIX, MANIFEST_SUFFIXES, NAME_PATTERN, job_name
from kbd.inbox.safe_load import Document, load_document, open_folder, read_bounded

__all__ = ["JobFile", "ReadLimits", "SideFile", "job_id_of", "lacks_files", "read_job"]

SOURCE_SUFFIXES = frozenset({".py", ".cu", ".cuh", ".cpp", ".c", ".h"})
"""What is mostly handed in by mistake instead of a job."""


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job that was read and is valid.

    Attributes:
        job_id: `manifest.id`, which is the file's NAME unless the manifest says otherwise.
        manifest: the job, with all source text in it.
        sha256: of everything it was read from. For a file, of its bytes; for a folder, of what `sha256sum`
            prints for the manifest and the files it names, sorted by name.
        document_path: the manifest (the folder, where a KernelBench pair has none).
        folder: where the data files lie that the manifest names; None for a single file.
        side_files: the files that were read besides the manifest.
    """

    job_id: str
    manifest: JobManifest
    sha256: str
    document_path: Path
    folder: Path | None
    side_files: tuple[SideFile, ...] = ()


def job_id_of(path: Path) -> str:
    """The NAME of `NAME.yaml`, `NAME.yml`, `NAME.json` or `NAME.job`. Raises InvalidJob where it is no id."""
    name = path.name
    job_id = job_name(name)
    if job_id is not None and name.endswith((*MANIFEST_SUFFIXES, JOB_FOLDER_SUFFIX)):
        return job_id
    expected = f"NAME.yaml, NAME.yml, NAME.json or a folder NAME.job, NAME like {NAME_PATTERN.pattern}"
    found = name.encode("utf-8", "backslashreplace").decode("utf-8")
    if path.suffix in SOURCE_SUFFIXES:
        hint = f"source code alone is no job: name it in the job.yaml of a folder NAME.job (source_file: {found})"
        if path.suffix == ".py":
            hint += f", or hand in a KernelBench pair with kbd submit --ref REFERENCE.py {found}"
    else:
        hint = "rename it and deliver it again"
    raise InvalidJob([Problem("", "no name for a job", expected, found, hint)])


def read_job(path: Path, *, limits: ReadLimits | None = None, name: str | None = None) -> JobFile:
    """Read and check a delivered job; `name` is what it is called, where it lies under another name.

    Raises:
        InvalidJob: it can be read and is no job (TruncatedDocument where it ends too early).
        UnsafeFile: it must not be read: a symlink, a FIFO, too large, …
        FileNotFoundError: it is gone.
        OSError: the file system fails.
    """
    limits = limits or ReadLimits()
    named = path if name is None else Path(name)
    default_id = job_id_of(named)
    if named.name.endswith(JOB_FOLDER_SUFFIX):
        return _read_folder(path, default_id, limits)
    data = read_bounded(path, limits.manifest_bytes)
    manifest = _parse(load_document(data, named.suffix), default_id, None)
    return JobFile(manifest.id, manifest, hashlib.sha256(data).hexdigest(), path, None)


def lacks_files(path: Path, *, limits: ReadLimits | None = None) -> bool:
    """Whether a folder NAME.job holds no job yet, or lacks files that its job names: it may still be arriving.

    Raises OSError where the file system fails. What else is wrong with it, `read_job` says.
    """
    folder_fd = open_folder(path)
    try:
        files = ArrivingFiles(folder_fd, limits or ReadLimits())
        if _manifest_name(files) is None and not is_pair_of(files.names()):
            return True
        with contextlib.suppress(InvalidJob):
            _parsed_folder(files, job_id_of(path))
        return bool(files.missing)
    finally:
        os.close(folder_fd)


def _read_folder(path: Path, default_id: str, limits: ReadLimits) -> JobFile:
    folder_fd = open_folder(path)
    try:
        files = FolderFiles(folder_fd, limits)
        name, data, manifest = _parsed_folder(files, default_id)
    finally:
        os.close(folder_fd)
    digests = {side.name: side.sha256 for side in files.side_files}
    if name is not None:
        digests[name] = hashlib.sha256(data).hexdigest()
    document_path = path if name is None else path / name
    return JobFile(manifest.id, manifest, _digest_of(digests), document_path, path, files.side_files)


def _parsed_folder(files: FolderFiles, default_id: str) -> tuple[str | None, bytes, JobManifest]:
    """The name of its document, if it has one, what that holds, and the job."""
    name = _manifest_name(files)
    if name is None:
        document, data = Document(pair_document(files.names()), ""), b""
    else:
        data = files.read_manifest(name)
        document = load_document(data, Path(name).suffix)
    return name, data, _parse(document, default_id, files)


def _manifest_name(files: FolderFiles) -> str | None:
    found = [name for name in files.names() if name in JOB_DOCUMENTS]
    if len(found) > 1:
        raise InvalidJob(
            [Problem("", "several manifests", "one manifest", ", ".join(found), "keep one of them")]
        )
    return found[0] if found else None


def _parse(document: Document, default_id: str, files: FolderFiles | None) -> JobManifest:
    try:
        return parse_manifest(document.value, default_id=default_id, folder=files)
    except InvalidJob as error:
        raise type(error)(document.with_lines(error.problems)) from None


def _digest_of(digests: dict[str, str]) -> str:
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()
