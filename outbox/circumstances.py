"""Under what circumstances a result came about: device, software, isolation, where the time went."""

from pydantic import Field

from kbd.outbox.report import Report


class ClocksReport(Report):
    """Clock rates in MHz by domain (sm, memory, …) around the timing."""

    before: dict[str, int] = Field(default_factory=dict)
    after: dict[str, int] = Field(default_factory=dict)


class DeviceReport(Report):
    """The device the kernels ran on. `throttled` and `other_processes` are null where nobody could look."""

    kind: str
    name: str
    index: int | None = Field(default=None, ge=0)
    uuid: str | None = None
    arch: str | None = None
    driver: str | None = None
    clocks_mhz: ClocksReport | None = None
    throttled: bool | None = None
    other_processes: int | None = Field(default=None, ge=0)


class EnvironmentReport(Report):
    """Versions of what took part; null: not there."""

    host: str
    kbd: str
    python: str
    torch: str | None = None
    triton: str | None = None
    cuda: str | None = None
    nvcc: str | None = None


class IsolationReport(Report):
    """The layers that were in force around the kernels, and each missing one with its reason."""

    user: str | None = None
    landlock_abi: int | None = Field(default=None, ge=0)
    network: str | None = None
    pids: str | None = None
    layers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class StageTimings(Report):
    """Seconds spent in each stage of the last attempt; null: the job never came there."""

    queued: float | None = Field(default=None, ge=0)
    compile: float | None = Field(default=None, ge=0)
    load: float | None = Field(default=None, ge=0)
    correctness: float | None = Field(default=None, ge=0)
    timing: float | None = Field(default=None, ge=0)
    device_metrics: float | None = Field(default=None, ge=0)
    total: float | None = Field(default=None, ge=0)


MetricGroup = dict[str, float | int | str | None]
"""Metric name to value; null: this device or driver does not count it."""


class DeviceMetrics(Report):
    """Hardware counters by group (speed_of_light, occupancy, …), or why there are none."""

    candidate: dict[str, MetricGroup] = Field(default_factory=dict)
    reference: dict[str, MetricGroup] = Field(default_factory=dict)
    unavailable: str | None = None
