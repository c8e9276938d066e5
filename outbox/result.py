"""The result of a job: what stands in `outbox/JOB.json`, and what cannot stand there.

A result contradicting itself cannot be constructed: the checks at the end of this file tie the verdict to
the state, the blame, the error, and the presence of correctness and performance. What was not measured is
null, never a made-up number.
"""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from kbd.outbox.circumstances import (
    DeviceMetrics,
    DeviceReport,
    EnvironmentReport,
    IsolationReport,
    StageTimings,
)
from kbd.outbox.correctness import Correctness
from kbd.outbox.errors import UnreadableResult
from kbd.outbox.performance import Performance, check_speedup
from kbd.outbox.report import ErrorReport, Logs, Message, Report, Suspicion
from kbd.outbox.verdict import INCORRECT, SOLE_BLAME, Blame, EvaluationStatus, FinalState, Stage, state_of

SCHEMA_VERSION: Final = 1

JobId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_NUMBERS: Final = re.compile(r"\[\n\s*((?:-?[0-9][0-9.eE+-]*,\n\s*)*-?[0-9][0-9.eE+-]*)\n\s*\]")

_SHOWN_PLACE_CHARS: Final = 100
_DAMAGED_ADVICE: Final = "Move it out of the outbox: delivered once more, the same job gets its result again"

_WITHOUT_ERROR = frozenset({EvaluationStatus.PASSED})
_ERROR_OPTIONAL = INCORRECT | {EvaluationStatus.SUSPECT, EvaluationStatus.CANCELLED}
_WITHOUT_BLAME = frozenset({EvaluationStatus.PASSED, EvaluationStatus.CANCELLED})


class WorkloadResult(Report):
    """The verdict about one workload (one binding of the contract's axes)."""

    name: str
    axes: dict[str, int] = Field(default_factory=dict)
    status: EvaluationStatus
    correctness: Correctness | None = None
    performance: Performance | None = None
    error: ErrorReport | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        _check_error(self.status, self.error)
        if self.status in INCORRECT and self.correctness is None:
            raise ValueError(
                f"status {self.status} says that outputs were compared: expected correctness, found none"
            )
        if self.status is EvaluationStatus.COMPILE_ERROR and self.correctness is not None:
            raise ValueError("status compile_error says that nothing ran: expected no correctness")
        self._check_performance()
        return self

    def _check_performance(self) -> None:
        if self.performance is None:
            return
        audit_failed = self.performance.audit is not None and self.performance.audit.failed > 0
        if self.status is EvaluationStatus.PASSED and audit_failed:
            raise ValueError("a timed burst was wrong: expected another status than passed")
        if self.status in INCORRECT and not audit_failed:
            raise ValueError(
                f"status {self.status} with performance: expected a failed burst in its audit, found none"
            )
        if self.status not in INCORRECT | {EvaluationStatus.PASSED, EvaluationStatus.SUSPECT}:
            raise ValueError(f"status {self.status} ends the timing: expected no performance")


class JobResult(Report):
    """Everything that is known about one finished job.

    Args:
        schema_version: of this document.
        job_id: whose result it is.
        manifest_sha256: of the bytes that were judged; null where they could not be read.
        attempt: the how-manieth try it is; 0 where nothing was started.
        labels: those of the manifest.
        state: how the job's life ended.
        status: the verdict.
        stage: where it was reached, if the job did not pass.
        blame: whose fault it is; null for jobs that passed or were cancelled.
        error: what went wrong, in the words of the user's own program.
        suspect: the evidence, for status suspect.
        compiled: whether both kernels were built; null where nothing is to be built.
        speedup_ci95: 95 % interval of the speed-up.
        significant: whether that interval leaves 1 out.
        workloads: each on its own.
        device: on which device, and how it was meanwhile.
        environment: with which versions.
        isolation: what kept the kernels from the host, and what did not.
        device_metrics: hardware counters, or why there are none, if they were asked for.
        timings_s: how long kbd took for each stage, in seconds.
        logs: what the kernels printed, the beginning and the end.
        correct: true or false once outputs were compared; null when they never were (no reference, mode
            compile, or something failed earlier).
        speedup: over all workloads (geometric mean), only for a job that passed.
        seed: what the inputs were drawn from, published only here.
        pinned_inputs: some inputs were literal, so they did not vary between trials.
        interpreted: a kernel was timed in an interpreter, so its times mean nothing; no speed-up is claimed.
        weak_test: degenerate candidates (zeros, a constant, …) that would have passed this job as well.
        notes: remarks that decide nothing.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    job_id: JobId
    manifest_sha256: Sha256 | None
    attempt: int = Field(ge=0)
    labels: dict[str, str] = Field(default_factory=dict)
    state: FinalState
    status: EvaluationStatus
    stage: Stage | None = None
    blame: Blame | None = None
    error: ErrorReport | None = None
    suspect: tuple[Suspicion, ...] = ()
    compiled: bool | None = None
    correct: bool | None = None
    speedup: float | None = Field(default=None, gt=0)
    speedup_ci95: tuple[float, float] | None = None
    significant: bool | None = None
    workloads: tuple[WorkloadResult, ...] = ()
    device: DeviceReport | None = None
    environment: EnvironmentReport | None = None
    isolation: IsolationReport | None = None
    device_metrics: DeviceMetrics | None = None
    timings_s: StageTimings = StageTimings()
    logs: Logs = Logs()
    seed: int | None = None
    pinned_inputs: bool = False
    interpreted: bool = False
    weak_test: tuple[str, ...] = ()
    notes: tuple[Message, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything that was asked for was found good; the one thing exit code 0 means."""
        return self.status is EvaluationStatus.PASSED

    def to_json(self) -> str:
        """The text that is stored and published: same fields, same order, every time."""
        return _rows_of_numbers_on_one_line(self.model_dump_json(indent=2)) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a published text. Raises UnreadableResult when it is not a result this version can read."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            expected = f"expected a result of schema version {SCHEMA_VERSION}"
            raise UnreadableResult(f"{expected}, {_what_else(error)}") from error

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self._check_state()
        self._check_place()
        self._check_evidence()
        self._check_compiled()
        self._check_correct()
        self._check_workloads()
        self._check_speedup()
        return self

    def _check_state(self) -> None:
        expected = state_of(self.status)
        if self.state != expected:
            raise ValueError(f"status {self.status} ends a job as {expected}, found {self.state}")

    def _check_place(self) -> None:
        _check_error(self.status, self.error)
        if self.status is EvaluationStatus.PASSED and self.stage is not None:
            raise ValueError("a passed job has no stage where it failed")
        if self.status not in _WITHOUT_BLAME and self.stage is None:
            raise ValueError(f"status {self.status}: expected the stage where it happened, found none")
        if (self.status in _WITHOUT_BLAME) != (self.blame is None):
            raise ValueError(
                f"status {self.status} with blame {self.blame}: "
                "jobs that passed or were cancelled blame nobody, all others name somebody"
            )
        sole = SOLE_BLAME.get(self.status)
        if sole is not None and self.blame is not sole:
            raise ValueError(f"status {self.status} is to be blamed on the {sole}, found {self.blame}")

    def _check_evidence(self) -> None:
        if (self.status is EvaluationStatus.SUSPECT) != bool(self.suspect):
            raise ValueError("expected evidence in `suspect` for status suspect, and for no other")

    def _check_compiled(self) -> None:
        if self.status is EvaluationStatus.COMPILE_ERROR and self.compiled is not False:
            raise ValueError("status compile_error: expected compiled false")
        if self.compiled is False and (self.status is EvaluationStatus.PASSED or self.correct is not None):
            raise ValueError("what was not compiled cannot have passed or been compared")

    def _check_correct(self) -> None:
        if (self.correct is False) != (self.status in INCORRECT):
            raise ValueError(
                f"status {self.status} with correct {self.correct}: "
                "expected false for incorrect outputs and for nothing else"
            )
        compared = any(workload.correctness is not None for workload in self.workloads)
        if self.correct is not None and not compared:
            raise ValueError(f"correct {self.correct}: expected the correctness of a workload, found none")

    def _check_workloads(self) -> None:
        statuses = {workload.status for workload in self.workloads}
        if self.status is EvaluationStatus.PASSED:
            self._check_passed(statuses)
        if self.status in INCORRECT and self.status not in statuses:
            raise ValueError(
                f"status {self.status}: expected a workload with this status, found {sorted(statuses)}"
            )

    def _check_passed(self, statuses: set[EvaluationStatus]) -> None:
        if statuses - {EvaluationStatus.PASSED}:
            raise ValueError(f"expected only passed workloads in a passed job, found {sorted(statuses)}")
        compared = {workload.correctness is not None for workload in self.workloads}
        if compared - {self.correct is True}:
            raise ValueError("expected correctness in every workload exactly if the passed job says correct")

    def _check_speedup(self) -> None:
        check_speedup(self.speedup, self.speedup_ci95, self.significant)
        if self.speedup is None:
            return
        if not self.passed:
            raise ValueError(f"status {self.status}: a speedup is claimed only for a job that passed")
        if self.interpreted:
            raise ValueError("an interpreted kernel claims no speedup")
        timed = [
            workload.performance is not None and workload.performance.speedup is not None
            for workload in self.workloads
        ]
        if not timed or not all(timed):
            raise ValueError("expected a speedup in the performance of every workload, or none for the job")


def _check_error(status: EvaluationStatus, error: ErrorReport | None) -> None:
    if status in _WITHOUT_ERROR and error is not None:
        raise ValueError(f"status {status} with an error ({error.type}): expected none")
    if status not in _WITHOUT_ERROR | _ERROR_OPTIONAL and error is None:
        raise ValueError(f"status {status}: expected an error saying what happened, found none")


def _what_else(error: ValidationError) -> str:
    """What was found instead of a result, and what to do about it."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if any(problem["type"] == "json_invalid" for problem in problems):
        return "found no JSON: it is damaged. " + _DAMAGED_ADVICE
    places = [".".join(map(str, problem["loc"]))[:_SHOWN_PLACE_CHARS] for problem in problems]
    if "schema_version" in places:
        return "found another one: a newer kbd wrote it, read it with that version"
    where = f"found something else at {places[0]}" if places[0] else "found something else"
    return f"{where}: it is damaged, or a newer kbd wrote it. {_DAMAGED_ADVICE}"


def _rows_of_numbers_on_one_line(text: str) -> str:
    """A list of a hundred samples is for one line, not for a hundred. Strings hold no line ends: none is met."""
    return _NUMBERS.sub(lambda found: f"[{', '.join(found[1].replace(',', ' ').split())}]", text)


def result_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a published result."""
    schema = JobResult.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
