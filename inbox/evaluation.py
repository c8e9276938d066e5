"""What a job asks to be measured, and how."""

from typing import Annotated, Literal

from pydantic import Field

from kbd.inbox.tensor_init import MAX_SEED
from kbd.inbox.tolerance import Tolerance
from kbd.inbox.validation import StrictModel

MOST_PROCESS_PAIRS = 20
DEFAULT_SECTIONS = ("SpeedOfLight", "Occupancy", "ComputeWorkloadAnalysis")

Section = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_]{0,63}$")]


class DeviceMetricsRequest(StrictModel):
    """A pass with Nsight Compute after timing. Not measured yet: `device_metrics` in the result says so.

    Attributes:
        enabled: whether it is wanted.
        sections: by Nsight's own names.
    """

    enabled: bool = False
    sections: Annotated[tuple[Section, ...], Field(max_length=64)] = DEFAULT_SECTIONS


class Evaluation(StrictModel):
    """How correctness and time are judged.

    Attributes:
        num_correct_trials: comparisons, each on fresh inputs.
        num_trials: timing samples at most; the stop rule may end earlier.
        process_pairs: how often both kernels are judged, each time in new processes with memory of their own. What
            one kernel differs by in two processes limits a single pair; several tell smaller differences apart.
            Without a reference the candidate has as many processes.
        timing: which figure `speedup` means: device time, or the time as called from eager Python. auto: device
            where both kernels can be captured.
        cache: whether the L2 cache is cold or warm before each sample.
        seed: of all random content; None is drawn by the judge and published only in the result.
        tolerance: for outputs without their own.
        device_metrics: hardware counters. Not measured yet; the result says so.
        sanitizer: a compute-sanitizer tool to run the candidate under. Not run yet; a note in the result says so.
        mode: full, or stop after correctness, or after compiling.
    """

    num_correct_trials: Annotated[int, Field(ge=1, le=1000)] = 5
    num_trials: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    process_pairs: Annotated[int, Field(ge=1, le=MOST_PROCESS_PAIRS)] = 1
    timing: Literal["auto", "device", "as_called"] = "auto"
    cache: Literal["cold", "warm"] = "cold"
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    tolerance: Tolerance = Tolerance()
    device_metrics: DeviceMetricsRequest = DeviceMetricsRequest()
    sanitizer: Literal["memcheck", "racecheck", "initcheck", "synccheck"] | None = None
    mode: Literal["full", "correctness", "compile"] = "full"
