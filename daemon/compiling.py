"""The compile stage of a job: its kernels are built before any device is taken.

::

    job ──► which kernels need a compiler? ──none──► device
                     └─► compile slots ──► archives ──► device       mode: compile ends here
                              └─► verdict (compile_error, …)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from kbd.backends.base import CompileRequest, Target
from kbd.backends.registry import backend_for
from kbd.daemon.executor.compile_slots import Compilation, CompileSlots
from kbd.daemon.executor.process import Log
from kbd.daemon.executor.protocol import Archive, Role
from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.executor.runner_protocol import Failed
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import JobManifest, KernelCode
from kbd.outbox.report import ErrorReport
from kbd.outbox.result import WorkloadResult
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage

ONLY_WORKLOAD = "default"
# The reference first: where both fail, the candidate was not judged.
ROLES: tuple[Role, ...] = ("reference", "candidate")


@dataclass
class CompiledKernels:
    """What the compile stage gave. `verdict`: the job ends here. The archives are closed by their owner."""

    found: Mapping[Role, Compilation] = field(default_factory=dict)
    verdict: Verdict | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, without waiting for slots; None where nothing was compiled."""
        return max((made.seconds for made in self.found.values()), default=None)

    @property
    def archives(self) -> dict[Archive, int]:
        """What a judge is told, and the descriptors that go with it."""
        return {
            Archive(role=role, nbytes=made.archive.nbytes): made.archive.descriptor
            for role, made in self.found.items()
            if made.archive is not None
        }

    @property
    def unfinished(self) -> bool:
        """Whether something is left to be built where the kernel is loaded."""
        return any(made.archive and made.archive.unfinished for made in self.found.values())

    @property
    def ends(self) -> dict[Role, RunnerEnd]:
        """How compilers ended, where they were needed."""
        return {role: made.end for role, made in self.found.items() if made.end is not None}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of builds that did not end here."""
        return tuple(
            f"{role}: built where it was loaded, not by a compiler: {made.archive.unfinished}"
            for role, made in self.found.items()
            if made.archive and made.archive.unfinished
        )

    def close(self) -> None:
        """Let the archives go."""
        for made in self.found.values():
            if made.archive is not None:
                made.archive.close()


def kernels_to_compile(manifest: JobManifest) -> dict[Role, KernelCode]:
    """Those that a compiler has to see: all of them where compiling is all that is asked for."""
    everything = manifest.evaluation.mode == "compile"
    kernels = {role: getattr(manifest, role) for role in ROLES}
    return {
        role: kernel
        for role, kernel in kernels.items()
        if kernel is not None and (everything or backend_for(kernel.kernel_type).needs_compiler(kernel))
    }


async def compile_kernels(
    manifest: JobManifest, target: Target, slots: CompileSlots, begin_log: Callable[[str], Log] | None = None
) -> CompiledKernels:
    """Build them all, each in a slot of its own. Raises NurseryFailed or OSError; no compiler is left then.

    `begin_log` gives the log of each compiler by its name (`candidate_compiler`).
    """
    tasks = {
        role: asyncio.create_task(
            slots.compile(
                CompileRequest(kernel, target, _contracts(manifest, role)),
                manifest.timeout,
                None if begin_log is None else partial(begin_log, f"{role}_compiler"),
            )
        )
        for role, kernel in kernels_to_compile(manifest).items()
    }
    try:
        await asyncio.gather(*tasks.values())
    except BaseException:
        await _give_up(tasks.values())
        raise
    compiled = CompiledKernels({role: task.result() for role, task in tasks.items()})
    compiled.verdict = _verdict(manifest, compiled.found)
    return compiled


async def _give_up(tasks: Collection[asyncio.Task[Compilation]]) -> None:
    """Stop what is still being built and let go of what is not."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is None and task.result().archive is not None:
            CompiledKernels({"candidate": task.result()}).close()


def _contracts(manifest: JobManifest, role: Role) -> tuple[BoundContract, ...]:
    bound = (workload.contract for workload in manifest.bound_workloads(role))
    return tuple(contract for contract in bound if contract is not None)


def _verdict(manifest: JobManifest, found: Mapping[Role, Compilation]) -> Verdict | None:
    """The verdict of a job that ends here: something cannot be built, or building was all that was asked for."""
    for role in ROLES:
        if role in found and found[role].archive is None:
            return _failure(role, found[role])
    if manifest.evaluation.mode != "compile":
        return None
    workloads = tuple(
        WorkloadResult(
            name=workload.name or ONLY_WORKLOAD, axes=workload.axes, status=EvaluationStatus.PASSED
        )
        for workload in manifest.bound_workloads()
    )
    return Verdict(status=EvaluationStatus.PASSED, compiled=True, workloads=workloads)


def _failure(role: Role, made: Compilation) -> Verdict:
    status, error = _what_happened(role, made)
    lost = role if status is EvaluationStatus.CRASHED else None
    if role == "reference":
        hint = "correct the reference; the candidate was not judged"
        status, error = EvaluationStatus.INVALID_REFERENCE, error.model_copy(update={"hint": hint})
        return Verdict(status=status, stage=Stage.COMPILE, blame=Blame.REFERENCE, error=error, lost=lost)
    blame = Blame.JOB if status is EvaluationStatus.UNSUPPORTED else Blame.CANDIDATE
    compiled = False if status is EvaluationStatus.COMPILE_ERROR else None
    return Verdict(status=status, stage=Stage.COMPILE, blame=blame, error=error, lost=lost, compiled=compiled)


def _what_happened(role: Role, made: Compilation) -> tuple[EvaluationStatus, ErrorReport]:
    if made.failed is not None:
        return EvaluationStatus(made.failed.status), _report(made.failed)
    if made.overdue:
        message = f"compiling the {role} was stopped after {made.seconds:.0f} s"
        hint = "raise the job's timeout, or the daemon's KBD_COMPILE_S if that is what ended it"
        return EvaluationStatus.TIMEOUT, ErrorReport(type="Timeout", message=message, hint=hint)
    if made.end is not None and made.end.exit is not None and made.end.exit.out_of_memory:
        message = f"compiling the {role} took more memory than a build may use"
        return EvaluationStatus.OUT_OF_MEMORY, ErrorReport(type="OutOfMemory", message=message)
    message = f"the compiler of the {role} ended before it answered"
    return EvaluationStatus.CRASHED, ErrorReport(type="Crash", message=message)


def _report(failed: Failed) -> ErrorReport:
    return ErrorReport(
        type=failed.type, message=failed.message, hint=failed.hint, traceback_tail=failed.traceback_tail
    )
