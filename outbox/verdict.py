"""The closed sets a result is made of: what was found, where, whose it is, and what becomes of the job."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

FinalState = Literal["completed", "failed", "cancelled", "rejected"]
"""How a job's life ends. completed: something was found out about the candidate, good or bad."""


class EvaluationStatus(StrEnum):
    """The verdict. Exactly one of these stands in every result."""

    PASSED = "passed"
    INCORRECT_OUTPUT = "incorrect_output"
    INCORRECT_SHAPE = "incorrect_shape"
    INCORRECT_DTYPE = "incorrect_dtype"
    NON_FINITE = "non_finite"
    COMPILE_ERROR = "compile_error"
    RUNTIME_ERROR = "runtime_error"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    UNSUPPORTED = "unsupported"
    INVALID_JOB = "invalid_job"
    INVALID_REFERENCE = "invalid_reference"
    SUSPECT = "suspect"
    CANCELLED = "cancelled"
    DEVICE_ERROR = "device_error"
    HARNESS_ERROR = "harness_error"


class Stage(StrEnum):
    """Where it happened."""

    INTAKE = "intake"
    COMPILE = "compile"
    LOAD = "load"
    CORRECTNESS = "correctness"
    TIMING = "timing"
    DEVICE_METRICS = "device_metrics"
    PUBLISH = "publish"


class Blame(StrEnum):
    """Whose it is. Faults of the device and of the harness are tried again by themselves, others never."""

    CANDIDATE = "candidate"
    REFERENCE = "reference"
    JOB = "job"
    DEVICE = "device"
    HARNESS = "harness"


INCORRECT = frozenset(
    {
        EvaluationStatus.INCORRECT_OUTPUT,
        EvaluationStatus.INCORRECT_SHAPE,
        EvaluationStatus.INCORRECT_DTYPE,
        EvaluationStatus.NON_FINITE,
    }
)
"""The verdicts that say: it ran, and what it computed is wrong."""

SOLE_BLAME: Mapping[EvaluationStatus, Blame] = MappingProxyType(
    dict.fromkeys(INCORRECT, Blame.CANDIDATE)
    | {
        EvaluationStatus.COMPILE_ERROR: Blame.CANDIDATE,
        EvaluationStatus.SUSPECT: Blame.CANDIDATE,
        EvaluationStatus.INVALID_JOB: Blame.JOB,
        EvaluationStatus.INVALID_REFERENCE: Blame.REFERENCE,
        EvaluationStatus.DEVICE_ERROR: Blame.DEVICE,
        EvaluationStatus.HARNESS_ERROR: Blame.HARNESS,
    }
)
"""Verdicts that can be one party's only. The others (a crash, a timeout…) name theirs case by case."""

_STATES: Mapping[EvaluationStatus, FinalState] = MappingProxyType(
    {
        EvaluationStatus.INVALID_JOB: "rejected",
        EvaluationStatus.INVALID_REFERENCE: "failed",
        EvaluationStatus.DEVICE_ERROR: "failed",
        EvaluationStatus.HARNESS_ERROR: "failed",
        EvaluationStatus.CANCELLED: "cancelled",
    }
)


def state_of(status: EvaluationStatus) -> FinalState:
    """The final state that belongs to a verdict; every verdict about the candidate completes its job."""
    return _STATES.get(status, "completed")
