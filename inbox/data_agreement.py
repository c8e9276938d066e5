"""Whether the data files of a job hold what its contract says, told before the job is judged.

A judge finds the same when it reads the files; this looks at their headers alone.
"""

from collections.abc import Iterator

from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.errors import InboxError, Problem
from kbd.inbox.folder_files import file_beside
from kbd.inbox.job_file import JobFile
from kbd.inbox.tensor_file import TensorHeader, read_header

_HINT = "correct the data of this argument"


def data_file_disagreements(job: JobFile) -> Iterator[Problem]:
    """A problem for each data file that is no tensor, or another than a workload wants; one for each argument.

    Raises OSError where a file cannot be read.
    """
    if job.manifest.io is None or job.folder is None:
        return
    bound = [
        (workload.name, job.manifest.io.bind(workload.axes)) for workload in job.manifest.bound_workloads()
    ]
    for index, arg in enumerate(job.manifest.io.args):
        data = None if arg.tensor_spec is None else arg.tensor_spec.data
        if arg.role == "output" or data is None or data.file is None or data.file_name is None:
            continue
        pointer = f"/io/args/{index}/tensor_spec/data/file"
        try:
            with file_beside(job.folder, data.file_name) as descriptor:
                header = read_header(descriptor, data.file)
        except InboxError as error:
            yield Problem(pointer, f"data file {data.file!r} cannot be read: {error}", hint=_HINT)
            continue
        yield from _first_disagreement(header, [(name, io.args[index].tensor) for name, io in bound], pointer)


def _first_disagreement(
    header: TensorHeader, tensors: list[tuple[str | None, BoundTensor | None]], pointer: str
) -> Iterator[Problem]:
    for name, tensor in tensors:
        if tensor is None:
            continue
        found = ""
        if header.shape != tensor.shape:
            expected, found = f"data of shape {list(tensor.shape)}", str(list(header.shape))
        elif header.dtype != tensor.dtype:
            expected, found = f"data of dtype {tensor.dtype}", str(header.dtype)
        if found:
            where = "" if name is None else f" in workload {name}"
            yield Problem(pointer, f"the data is not what the contract says{where}", expected, found, _HINT)
            return
