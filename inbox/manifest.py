"""The job as kbd understands it, whatever form its document had."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from kbd.inbox.axes import NAME_PATTERN as AXIS_PATTERN
from kbd.inbox.contract import MAX_AXES, BoundContract, IOContract, axes_of
from kbd.inbox.errors import InvalidJob, Problem, pointer_to
from kbd.inbox.evaluation import DeviceMetricsRequest, Evaluation
from kbd.inbox.input_agreement import disagreements
from kbd.inbox.kernel_checks import kernel_problems
from kbd.inbox.kernel_code import CompileOptions, KernelCode
from kbd.inbox.names import NAME_PATTERN
from kbd.inbox.tolerance import Tolerance
from kbd.inbox.validation import StrictModel, below, collect, did_you_mean

__all__ = [
    "BoundWorkload",
    "CompileOptions",
    "DeviceMetricsRequest",
    "DeviceRequest",
    "Evaluation",
    "JobManifest",
    "KernelCode",
    "Role",
    "Tolerance",
    "Workload",
]

MAX_TIMEOUT_S = 86_400.0
MAX_PRIORITY = 1_000_000
MAX_WORKLOADS = 256
MAX_WORKLOAD_AXES = 3 * MAX_AXES
"""The job's contract and those of its kernels may have axes of their own."""

_MOST_BOUND = {
    "arguments": 8192,
    "characters of expressions": 1 << 19,
    "characters of literal data": 8 << 20,
}
"""Of each contract, once for every workload: a judge is told all of it in one message of at most 32 MiB."""

Role = Literal["reference", "candidate"]
Label = Annotated[str, Field(max_length=256)]
LabelName = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")]
AxisName = Annotated[str, Field(pattern=f"^{AXIS_PATTERN.pattern}$")]
AxisSize = Annotated[int, Field(ge=0, le=1 << 40)]


class Workload(StrictModel):
    """One binding of the contract's axes; each is checked and timed on its own."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="a name of its own")]
    axes: Annotated[
        dict[AxisName, AxisSize], Field(max_length=MAX_WORKLOAD_AXES, description="a number for every axis")
    ]


class DeviceRequest(StrictModel):
    """Where the job may run; None is any.

    Attributes:
        kind: auto takes whatever the daemon has.
        name: of the device, as a pattern such as `*H100*`.
        arch: compute capability, such as `sm_90`; with mode compile also one that is not here.
    """

    kind: Literal["auto", "cuda", "cpu"] = "auto"
    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    arch: Annotated[str, Field(pattern="^sm_[0-9]{2,3}[a-z]?$")] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "cpu" and self.arch is not None:
            hint = "remove it, or ask for kind cuda"
            collect([Problem("/arch", "a CPU has no such architecture", "null", self.arch, hint)])
        return self


class BoundWorkload(NamedTuple):
    """One workload in numbers; name and axes are None and empty for a job without workloads.

    `contract` is None where the reference's own `get_inputs()` makes the inputs.
    """

    name: str | None
    axes: dict[str, int]
    contract: BoundContract | None


class JobManifest(StrictModel):
    """A whole job. One that can be constructed can be run: everything text can tell has been checked.

    Attributes:
        version: of this language.
        id: names the job and its result; once per spool.
        labels: free; searchable.
        priority: higher first.
        reference: what the candidate is compared with; None measures the candidate alone.
        candidate: the kernel under test.
        io: the job's contract. It owns the inputs, both kernels get the same ones.
        workloads: bindings of the contract's axes.
        evaluation: what is measured and how.
        device: where.
        timeout: seconds for the whole job.
    """

    version: Literal[1] = 1
    id: Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$", description="the job's id")]
    labels: dict[LabelName, Label] = Field(default_factory=dict, max_length=64)
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    reference: KernelCode | None = None
    candidate: Annotated[KernelCode, Field(description="the kernel under test")]
    io: IOContract | None = None
    workloads: Annotated[tuple[Workload, ...], Field(max_length=MAX_WORKLOADS)] = ()
    evaluation: Evaluation = Evaluation()
    device: DeviceRequest = DeviceRequest()
    timeout: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)] = 120.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        collect(chain(self._extent_problems(), self._workload_problems(), self._kernel_problems()))
        collect(self._binding_problems())
        collect(self._input_problems())
        return self

    def contract_for(self, role: Role) -> IOContract | None:
        """The argument list of one kernel: its own, else the job's."""
        kernel = self.candidate if role == "candidate" else self.reference
        return self.io if kernel is None or kernel.io is None else kernel.io

    def bound_workloads(self, role: Role = "reference") -> tuple[BoundWorkload, ...]:
        """Every workload with the contract of one kernel in numbers; one without a name if there are none."""
        contract = self.contract_for(role)
        return tuple(
            BoundWorkload(name, axes, None if contract is None else contract.bind(axes))
            for name, axes in self._bindings()
        )

    def _bindings(self) -> list[tuple[str | None, dict[str, int]]]:
        return [(workload.name, workload.axes) for workload in self.workloads] or [(None, {})]

    def _contracts(self) -> dict[str, IOContract]:
        """The contracts of the job by their pointer."""
        places = {
            "/io": self.io,
            "/reference/io": None if self.reference is None else self.reference.io,
            "/candidate/io": self.candidate.io,
        }
        return {pointer: contract for pointer, contract in places.items() if contract is not None}

    def _kernel_problems(self) -> Iterator[Problem]:
        for role, kernel in (("reference", self.reference), ("candidate", self.candidate)):
            if kernel is not None:
                pointer = f"/{role}"
                contract_pointer = "/io" if kernel.io is None else f"{pointer}/io"
                yield from kernel_problems(kernel, kernel.io or self.io, pointer, contract_pointer)

    def _extent_problems(self) -> Iterator[Problem]:
        times = len(self.workloads)
        for pointer, contract in self._contracts().items() if times > 1 else ():
            counts = (len(contract.args), contract.expression_chars, contract.literal_chars)
            for (what, most), count in zip(_MOST_BOUND.items(), counts, strict=True):
                if count * times > most:
                    found = f"{count} in {times} workloads"
                    hint = "split the job, or put data into files"
                    yield Problem(
                        pointer, "too large for so many workloads", f"at most {most} {what}", found, hint
                    )

    def _workload_problems(self) -> Iterator[Problem]:
        contracts = self._contracts().values()
        axes = axes_of(contracts)
        if axes and not self.workloads:
            names, example = ", ".join(sorted(axes)), ", ".join(f"{name}: 1024" for name in sorted(axes))
            hint = f"add workloads such as [{{name: small, axes: {{{example}}}}}]"
            if open_names := sorted(frozenset().union(*(contract.launch_axes for contract in contracts))):
                hint += f"; or put {', '.join(open_names)} into launch.tuned, if the kernel itself chooses it"
            yield Problem("/workloads", "axes are not bound", f"a size for {names}", "no workloads", hint)
        seen: set[str] = set()
        for index, workload in enumerate(self.workloads):
            if workload.name in seen:
                pointer = f"/workloads/{index}/name"
                yield Problem(pointer, "the name is taken", "a name of its own", workload.name, "rename it")
            seen.add(workload.name)
            yield from below(f"/workloads/{index}/axes", _axis_problems(workload, axes, tuple(contracts)))

    def _binding_problems(self) -> Iterator[Problem]:
        for name, axes in self._bindings():
            for pointer, contract in self._contracts().items():
                try:
                    contract.bind(axes)
                except InvalidJob as error:
                    for problem in below(pointer, error.problems):
                        yield _in_workload(problem, name)

    def _input_problems(self) -> Iterator[Problem]:
        if self.io is None or self.candidate.io is None:
            return
        for name, axes in self._bindings():
            found = disagreements(self.io.bind(axes), self.candidate.io.bind(axes))
            for problem in below("/candidate/io", found):
                yield _in_workload(problem, name)


def _axis_problems(
    workload: Workload, axes: frozenset[str], contracts: tuple[IOContract, ...]
) -> Iterator[Problem]:
    for name in sorted(axes - workload.axes.keys()):
        hint = f"add {name}"
        yield Problem(pointer_to(name), f"axis {name} is not bound", "a size", "null", hint)
    for name, size in workload.axes.items():
        if any(contract.bound_twice([name]) for contract in contracts):
            message = f"axis {name} is bound twice: by this workload and by the integer argument {name}"
            hint = f"remove it here, or make the value of the argument {name}"
            yield Problem(pointer_to(name), message, "one binding", str(size), hint)
        elif name not in axes:
            known = ", ".join(sorted(axes)) or "no axis (the job has no contract that names one)"
            hint = did_you_mean(name, axes) or "remove it"
            yield Problem(pointer_to(name), "no contract has this axis", known, name, hint)


def _in_workload(problem: Problem, name: str | None) -> Problem:
    if name is None:
        return problem
    message = f"{problem.message} (in workload {name})"
    return Problem(problem.pointer, message, problem.expected, problem.found, problem.hint)
