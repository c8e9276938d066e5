"""A KernelBench pair: a module with `Model` and `get_inputs()`, and one with `ModelNew`."""

from collections.abc import Iterator, Mapping

from kbd.inbox.errors import InvalidJob, Problem
from kbd.inbox.folder_files import FolderFiles
from kbd.inbox.formats.native import build_manifest, with_sources
from kbd.inbox.kernel_source import defines, triton_kernels
from kbd.inbox.manifest import JobManifest

REFERENCE_FILE = "reference.py"
CANDIDATE_FILES = ("candidate.py", "kernel.py", "solution.py", "model_new.py", "custom.py")

_BUILDS_CUDA = ("load_inline", "cpp_extension")


def is_pair(document: Mapping[str, object]) -> bool:
    """Whether a document has a reference and a candidate that both leave their kernel_type open."""
    kernels = (document.get("reference"), document.get("candidate"))
    return all(isinstance(kernel, Mapping) and "kernel_type" not in kernel for kernel in kernels)


def read_kernelbench(
    document: Mapping[str, object], *, default_id: str, folder: FolderFiles | None
) -> JobManifest:
    """`{reference: {source_file}, candidate: {source_file}}` (or source_code), with any other native field.

    The reference is torch; the candidate's type is guessed from its text by `guessed_type`. Raises InvalidJob.
    """
    fields, problems = with_sources(document, folder)
    reference, candidate = _kernel(fields, "reference"), _kernel(fields, "candidate")
    fields["reference"] = {**reference, "kernel_type": "torch"}
    fields["candidate"] = {**candidate, "kernel_type": guessed_type(_source(candidate))}
    if not problems:
        problems += _pair_problems(_source(reference), _source(candidate), has_contract="io" in fields)
    return build_manifest(fields, problems, default_id=default_id, folder=folder)


def pair_document(names: list[str]) -> dict[str, object]:
    """The document that a folder without a manifest stands for, from the names of its files.

    Raises InvalidJob where it is not clear which file is which.
    """
    candidates = _candidates_of(names)
    if REFERENCE_FILE not in names or len(candidates) != 1:
        expected = f"job.yaml, or {REFERENCE_FILE} and one candidate ({', '.join(CANDIDATE_FILES)})"
        found = ", ".join(names[:20]) or "an empty folder"
        hint = "add a job.yaml that names the files"
        raise InvalidJob([Problem("", "the folder holds no job", expected, found, hint)])
    return {"reference": {"source_file": REFERENCE_FILE}, "candidate": {"source_file": candidates[0]}}


def is_pair_of(names: list[str]) -> bool:
    """Whether files of these names are a pair, or too many of them for one."""
    return REFERENCE_FILE in names and bool(_candidates_of(names))


def _candidates_of(names: list[str]) -> list[str]:
    modules = [name for name in names if name.endswith(".py") and name != REFERENCE_FILE]
    return modules if len(modules) == 1 else [name for name in modules if name in CANDIDATE_FILES]


def guessed_type(source: str) -> str:
    """torch_cuda where a module builds CUDA by itself, triton where it defines a kernel, else torch."""
    if any(word in source for word in _BUILDS_CUDA):
        return "torch_cuda"
    return "triton" if triton_kernels(source) else "torch"


def _kernel(fields: Mapping[str, object], role: str) -> Mapping[str, object]:
    kernel = fields[role]
    return kernel if isinstance(kernel, Mapping) else {}


def _source(kernel: Mapping[str, object]) -> str:
    source = kernel.get("source_code")
    return source if isinstance(source, str) else ""


def _pair_problems(reference: str, candidate: str, *, has_contract: bool) -> Iterator[Problem]:
    hint = "define it, or say what each kernel is in kernel_type"
    if not defines(reference, "Model"):
        yield Problem("/reference", "no KernelBench reference", "class Model", "none", hint)
    if not has_contract and not defines(reference, "get_inputs"):
        yield Problem(
            "/reference", "nothing makes the inputs", "get_inputs()", "none", "define it, or add io"
        )
    if not defines(candidate, "ModelNew", "Model"):
        yield Problem("/candidate", "no KernelBench candidate", "class ModelNew", "none", hint)
