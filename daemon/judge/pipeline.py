"""The evaluation as data: load → correctness → timing, and one way to turn every trouble into a verdict.

A stage is a name and a function of the session. It returns when all is well and raises otherwise:

    RunnerTrouble    a runner failed, died, stayed silent or forged an answer    -> blamed on its kernel
    Wrong            outputs were compared and are wrong                         -> incorrect_*, non_finite
    Suspicious       timed launches were wrong, or faster than anything can be   -> suspect
    ReferenceUnusable the reference gave nothing to compare                      -> invalid_reference
    BadData          the job's literal data does not fit                         -> invalid_job
    DataOutOfReach   a file of the job is gone, or its file system fails         -> harness_error
    TooLarge         the host cannot hold the tensors of the job                 -> out_of_memory
    SharingFailed    no memory, no handle                                        -> out_of_memory, device_error

and any error that means a shortage of memory                                    -> out_of_memory
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kbd.daemon.executor.shared_memory import OutOfDeviceMemory, SharingFailed
from kbd.daemon.judge.alone import hear_references_alone
from kbd.daemon.judge.audit import Suspicious
from kbd.daemon.judge.correctness import check_workload
from kbd.daemon.judge.draw import BadData, DataOutOfReach
from kbd.daemon.judge.launches import note_launches
from kbd.daemon.judge.performance import time_workload
from kbd.daemon.judge.room import TooLarge
from kbd.daemon.judge.runner_link import RunnerFailed, RunnerForged, RunnerLost, RunnerSilent, RunnerTrouble
from kbd.daemon.judge.session import Session
from kbd.daemon.judge.verdict import JudgeTimings, Verdict
from kbd.daemon.judge.wrong import ReferenceUnusable, Wrong
from kbd.daemon.runner.shortage import is_shortage, shortage_of
from kbd.outbox.report import ErrorReport, MemoryReport, Suspicion
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage


@dataclass(frozen=True)
class EvaluationStage:
    """One step of the evaluation and the modes that include it."""

    name: Stage
    modes: frozenset[str]
    act: Callable[[Session], None]


def load(session: Session) -> None:
    """Both kernels become callable; the reference says what the constructors get."""
    init_inputs = None
    if session.reference is not None:
        assert session.request.reference is not None
        session.tell(Stage.LOAD, "reference")
        session.reference.load(
            session.request.reference, session.contracts("reference"), session.seeds.constructors, None
        )
        init_inputs = session.reference.init_inputs
    session.tell(Stage.LOAD, "candidate")
    session.candidate.load(
        session.request.candidate,
        session.contracts("candidate"),
        session.seeds.constructors,
        init_inputs,
    )
    session.notes += session.candidate.notes
    session.compiled = True


def correctness(session: Session) -> None:
    """Every workload over fresh inputs."""
    for finding in session.findings:
        check_workload(session, finding)
        if session.request.evaluation.mode == "full":
            note_launches(session, finding)


def timing(session: Session) -> None:
    """Every workload; each takes the device's exclusive lease when it is ready. Then some references alone."""
    for finding in session.findings:
        time_workload(session, finding)
    hear_references_alone(session)


STAGES = (
    EvaluationStage(Stage.LOAD, frozenset({"full", "correctness", "compile"}), load),
    EvaluationStage(Stage.CORRECTNESS, frozenset({"full", "correctness"}), correctness),
    EvaluationStage(Stage.TIMING, frozenset({"full"}), timing),
)

SLOW_CANDIDATE_HINT: Final = "make the candidate faster, or raise the job's timeout"
NEVER_REFUSED_WHEN_LOADED: Final = frozenset({"torch", "triton"})

TROUBLES = (
    *(RunnerTrouble, Wrong, Suspicious, ReferenceUnusable, BadData, DataOutOfReach),
    *(SharingFailed, TooLarge),
)


def evaluate(session: Session) -> Verdict:
    """Run the stages that the job's mode includes; always ends with a verdict."""
    seconds: dict[str, float] = {}
    for stage in STAGES:
        if session.request.evaluation.mode not in stage.modes:
            continue
        session.stage = stage.name
        started = time.monotonic()
        try:
            stage.act(session)
        except Exception as error:
            if not (isinstance(error, TROUBLES) or is_shortage(error)):
                raise
            seconds[stage.name] = time.monotonic() - started
            return _failed(session, error, JudgeTimings(**seconds))
        seconds[stage.name] = time.monotonic() - started
    return session.passed(JudgeTimings(**seconds))


def _failed(session: Session, error: Exception, timings: JudgeTimings) -> Verdict:
    fields = _describe(session, error)
    return session.verdict(timings, stage=session.stage, **fields)


def _describe(session: Session, error: Exception) -> dict[str, Any]:
    """Status, blame and error of whatever ended a stage."""
    match error:
        case Wrong():
            return {"status": error.status, "blame": Blame.CANDIDATE, "error": error.report}
        case Suspicious():
            return {
                "status": EvaluationStatus.SUSPECT,
                "blame": Blame.CANDIDATE,
                "suspect": (error.suspicion,),
            }
        case RunnerSilent(role="reference", other_used_it_up=True):
            report = ErrorReport(type="Timeout", message=_who_used_it_up(error), hint=SLOW_CANDIDATE_HINT)
            return {"status": EvaluationStatus.TIMEOUT, "blame": Blame.CANDIDATE, "error": report}
        case RunnerTrouble(role="reference"):
            return _reference_trouble(error)
        case RunnerTrouble():
            return _candidate_trouble(session, error)
        case ReferenceUnusable():
            report = ErrorReport(type="ReferenceUnusable", message=str(error), hint=error.hint)
            return {
                "status": EvaluationStatus.INVALID_REFERENCE,
                "blame": Blame.REFERENCE,
                "error": report,
            }
        case BadData():
            report = ErrorReport(type="BadData", message=str(error), hint="correct the data of this argument")
            return {"status": EvaluationStatus.INVALID_JOB, "blame": Blame.JOB, "error": report}
        case DataOutOfReach():
            hint = "if somebody has deleted it, deliver the job again under a new id"
            report = ErrorReport(type="DataOutOfReach", message=str(error), hint=hint)
            return {"status": EvaluationStatus.HARNESS_ERROR, "blame": Blame.HARNESS, "error": report}
    memory = _memory_lacking(error)
    if memory is not None:
        return _no_room(error, memory)
    report = ErrorReport(type="SharingFailed", message=str(error))
    return {"status": EvaluationStatus.DEVICE_ERROR, "blame": Blame.DEVICE, "error": report}


def _memory_lacking(error: Exception) -> MemoryReport | None:
    """What is known of the memory that the judge could not have; None where it lacked none."""
    if isinstance(error, OutOfDeviceMemory):
        return MemoryReport(where="device")
    if isinstance(error, TooLarge):
        return MemoryReport(where="host", needed_bytes=error.needed_bytes, limit_bytes=error.host_bytes)
    return shortage_of(error) if is_shortage(error) else None


def _no_room(error: Exception, memory: MemoryReport) -> dict[str, Any]:
    report = ErrorReport(
        type="OutOfMemory",
        message=f"the {memory.where} has no room for the job's inputs and outputs: {error}",
        hint="use smaller workloads",
        memory=memory,
    )
    return {"status": EvaluationStatus.OUT_OF_MEMORY, "blame": Blame.JOB, "error": report}


def _candidate_trouble(session: Session, error: RunnerTrouble) -> dict[str, Any]:
    blame = Blame.CANDIDATE
    if isinstance(error, RunnerForged):
        evidence = Suspicion(rule="forged_answer", evidence=str(error))
        return {"status": EvaluationStatus.SUSPECT, "blame": blame, "suspect": (evidence,)}
    status = EvaluationStatus(_status_of(error))
    if status is EvaluationStatus.COMPILE_ERROR and _has_run(session):
        status = EvaluationStatus.RUNTIME_ERROR  # it had compiled; what it raises later is its own affair
    if status is EvaluationStatus.UNSUPPORTED and not _can_be_refused(session):
        status = EvaluationStatus.RUNTIME_ERROR  # not kbd has refused it
    if status is EvaluationStatus.UNSUPPORTED:
        blame = Blame.JOB
    lost = "candidate" if isinstance(error, RunnerLost) else None
    return {"status": status, "blame": blame, "error": report_of(error), "lost": lost}


def _has_run(session: Session) -> bool:
    """Whether the candidate has done this workload; until then, its call may be what compiles it."""
    return session.stage is Stage.TIMING or session.current.correctness is not None


def _who_used_it_up(error: RunnerSilent) -> str:
    assert error.answered_s is not None
    candidate_s, reference_s = (error.answered_s.get(role, 0.0) for role in ("candidate", "reference"))
    return (
        f"the job's time was over while the reference ran: the candidate had taken {candidate_s:.1f} s of it, "
        f"the reference {reference_s + error.limit_s:.1f} s"
    )


def _can_be_refused(session: Session) -> bool:
    """Whether kbd has a reason to call this candidate unsupported, whatever its process says.

    Triton's interpreter refuses element types, and an extension that its module builds may find no compiler. All
    others are refused where they are loaded or never.
    """
    kernel = session.request.candidate
    if kernel.kernel_type == "torch_cuda" or (
        session.device.type == "cpu" and "triton" in kernel.source_code
    ):
        return True
    return session.stage is Stage.LOAD and kernel.kernel_type not in NEVER_REFUSED_WHEN_LOADED


def _reference_trouble(error: RunnerTrouble) -> dict[str, Any]:
    """Whatever a reference does wrong makes the comparison void; the error says what it was."""
    report = report_of(error)
    own_hint = report.hint if isinstance(error, RunnerFailed) else None
    hint = "; ".join(filter(None, (own_hint, "correct the reference; the candidate was not judged")))
    report = report.model_copy(update={"hint": hint})
    lost = "reference" if isinstance(error, RunnerLost) else None
    return {
        "status": EvaluationStatus.INVALID_REFERENCE,
        "blame": Blame.REFERENCE,
        "error": report,
        "lost": lost,
    }


def _status_of(error: RunnerTrouble) -> str:
    if isinstance(error, RunnerFailed):
        return error.failed.status
    return "timeout" if isinstance(error, RunnerSilent) else "crashed"


def report_of(error: RunnerTrouble) -> ErrorReport:
    """The user's own error where there is one, else what was seen from outside."""
    if isinstance(error, RunnerFailed):
        failed = error.failed
        return ErrorReport(
            type=failed.type,
            message=failed.message,
            hint=failed.hint,
            traceback_tail=failed.traceback_tail,
            memory=failed.memory,
        )
    if isinstance(error, RunnerSilent):
        return ErrorReport(
            type="Timeout",
            message=f"the {error.role} gave no answer within {error.limit_s:.1f} s",
            hint="look for an endless loop, or raise the job's timeout",
        )
    return ErrorReport(type="Crash", message=f"the {error.role}'s process ended before it answered")
