"""kbd's own manifest: `{version, reference, candidate, io, workloads, …}`."""

import difflib
from collections.abc import Iterator, Mapping

from kbd.inbox.errors import InvalidJob, Problem, UnsafeFile
from kbd.inbox.folder_files import FolderFiles
from kbd.inbox.manifest import JobManifest
from kbd.inbox.plain_values import shown
from kbd.inbox.validation import validate

_SHOWN_NAMES = 256
_UNREAD_SOURCE = "# not read"
_FOLDER_HINT = "write it into source_code, or deliver a folder NAME.job that holds it"


def read_native(
    document: Mapping[str, object], *, default_id: str, folder: FolderFiles | None
) -> JobManifest:
    """The manifest of a native document; files it names are read from `folder` into `source_code`.

    Raises InvalidJob with everything that is wrong.
    """
    fields, problems = with_sources(document, folder)
    return build_manifest(fields, problems, default_id=default_id, folder=folder)


def with_sources(
    document: Mapping[str, object], folder: FolderFiles | None
) -> tuple[dict[str, object], list[Problem]]:
    """The document with the text of the files it names as `source_code`, and what could not be read."""
    fields, problems = dict(document), list[Problem]()
    for role in ("reference", "candidate"):
        if isinstance(kernel := fields.get(role), Mapping):
            fields[role] = _with_source(kernel, f"/{role}", folder, problems)
    return fields, problems


def build_manifest(
    fields: Mapping[str, object], problems: list[Problem], *, default_id: str, folder: FolderFiles | None
) -> JobManifest:
    """The manifest of a document without source files. Raises InvalidJob, earlier problems first."""
    try:
        manifest = validate(JobManifest, {"id": default_id, **fields})
    except InvalidJob as error:
        raise InvalidJob([*problems, *error.problems]) from None
    if problems := [*problems, *data_file_problems(manifest, folder)]:
        raise InvalidJob(problems)
    return manifest


def data_file_problems(manifest: JobManifest, folder: FolderFiles | None) -> Iterator[Problem]:
    """What is wrong with the data files that the job's contract names; each is read through."""
    for index, arg in enumerate(() if manifest.io is None else manifest.io.args):
        data = None if arg.tensor_spec is None else arg.tensor_spec.data
        if data is not None and data.file_name is not None:
            pointer = f"/io/args/{index}/tensor_spec/data/file"
            if folder is None:
                hint = "use data_b64, or deliver a folder NAME.job that holds it"
                yield Problem(pointer, "a self-contained manifest has no files", found=data.file, hint=hint)
            elif problem := _file_problem(folder, data.file_name, pointer):
                yield problem


def _with_source(
    kernel: Mapping[str, object], pointer: str, folder: FolderFiles | None, problems: list[Problem]
) -> dict[str, object]:
    """The kernel with `source_file` replaced by its text; what cannot be read becomes a problem."""
    fields = dict(kernel)
    if "io" in fields:
        hint = "move it to io at the top of the manifest"
        problems.append(Problem(f"{pointer}/io", "the contract belongs to the job", "no io here", hint=hint))
        del fields["io"]
    if "source_file" not in fields:
        return fields
    name = fields.pop("source_file")
    where = f"{pointer}/source_file"
    if "source_code" in fields:
        expected = "either source_code or source_file"
        problems.append(Problem(where, "two sources", expected, "both", "remove one of them"))
        return fields
    fields["source_code"] = _UNREAD_SOURCE
    if not isinstance(name, str):
        problems.append(Problem(where, "wrong value", "the name of a file", shown(name)))
    elif folder is None:
        problems.append(
            Problem(where, "a self-contained manifest has no files", found=name, hint=_FOLDER_HINT)
        )
    else:
        try:
            fields["source_code"] = folder.read_source(name)
        except UnsafeFile as error:
            problems.append(Problem(where, str(error)))
        except FileNotFoundError:
            problems.append(_missing_file(folder, name, where))
    return fields


def _file_problem(folder: FolderFiles, name: str, pointer: str) -> Problem | None:
    try:
        folder.check(name)
    except UnsafeFile as error:
        return Problem(pointer, str(error))
    except FileNotFoundError:
        return _missing_file(folder, name, pointer)
    return None


def _missing_file(folder: FolderFiles, name: str, pointer: str) -> Problem:
    close = difflib.get_close_matches(name[:_SHOWN_NAMES], folder.names()[:_SHOWN_NAMES], n=1)
    hint = f"did you mean {close[0]}?" if close else "put it into the folder before delivering it"
    return Problem(pointer, "no such file in the job's folder", "a file beside the manifest", name, hint)
