"""Every setting there is, one entry each. File, environment, `kbd config show` and the template follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kbd.daemon.configuration.kinds import COUNT, DATABASE, LOCATION, SECONDS, SIZE, Kind, OneOf, Whole
from kbd.daemon.executor.sandbox.layers import Level


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: its name in the file, with its table: `limits.load_s`.
        kind: what its value may be.
        meaning: for people; one line.
        attribute: where it lies in `Settings`; by default where its key says.
        variable: the environment variable; by default KBD_ and the name.
        flag: the option of `kbd run`, if there is one.
        live: a running daemon takes it over on SIGHUP; others need a restart.
        unset: what holds when it has no value, in words.
    """

    key: str
    kind: Kind
    meaning: str
    attribute: str = ""
    variable: str = ""
    flag: str | None = None
    live: bool = False
    unset: str = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "attribute", self.attribute or self.key)
        object.__setattr__(self, "variable", self.variable or f"KBD_{self.name.upper()}")

    @property
    def section(self) -> str:
        """Its table in the file; empty for those at the top."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its name within that table."""
        return self.key.rpartition(".")[2]


def _limit(name: str, kind: Kind, meaning: str, *, live: bool = True) -> Setting:
    return Setting(f"limits.{name}", kind, meaning, live=live)


def _runner(name: str, meaning: str, unset: str = "none") -> Setting:
    return Setting(
        f"runner.{name}", SIZE, meaning, f"isolation.{name}", f"KBD_RUNNER_{name.upper()}", unset=unset
    )


SETTINGS: Final = (
    Setting("spool", LOCATION, "the spool: where jobs and results lie", flag="--spool"),
    Setting("state", LOCATION, "database, logs and lock; always on a local disk", flag="--state"),
    Setting("database", DATABASE, "sqlite: a file in the state folder; or postgresql://USER@HOST/NAME"),
    Setting("device", OneOf(("auto", "cuda", "cpu")), "which devices to judge on", flag="--device"),
    Setting("cpu_slots", COUNT, "into so many devices the CPU is divided"),
    Setting("device_slots", COUNT, "so many jobs at a time on each CUDA device", unset="by its memory"),
    Setting(
        "reference_uses",
        COUNT,
        "so many jobs of one owner with the same torch reference share its process",
        unset="16 on CUDA devices, 1 on the CPU",
    ),
    _limit("queue_limit", COUNT, "jobs that may be claimed and wait; further ones stay in the inbox"),
    _limit(
        "min_free_bytes", Whole(0), "nothing is claimed while less is free where spool or state folder lie"
    ),
    _limit("log_days", Whole(0), "the logs of a job are removed so long after its last output"),
    _limit("log_bytes", Whole(0), "so much all logs of jobs may take; the oldest go first"),
    _limit("history_days", Whole(0), "published jobs are forgotten so long after their end; 0: never"),
    _limit("history_jobs", COUNT, "so many published jobs are remembered; the oldest are forgotten first"),
    _limit("load_s", SECONDS, "loading one kernel"),
    _limit("correctness_s", SECONDS, "comparing one workload"),
    _limit("timing_s", SECONDS, "timing one workload"),
    _limit("timing_budget_s", SECONDS, "so long samples are taken for one workload"),
    _limit("grace_s", SECONDS, "running jobs may go on so long after SIGTERM"),
    _limit("max_attempts", COUNT, "attempts of a job whose device or judge fails"),
    _limit("retry_first_s", SECONDS, "rest after the first failed attempt; it doubles with each further one"),
    _limit("retry_longest_s", SECONDS, "the longest rest"),
    _limit("queue_window", COUNT, "so many jobs are passed over to find one that a free device suits"),
    _limit("scan_interval_s", SECONDS, "between two looks at a spool on a local disk"),
    _limit("network_scan_interval_s", SECONDS, "between two looks at a spool on a network file system"),
    _limit("status_interval_s", SECONDS, "between two snapshots (status.json)"),
    _limit(
        "lease_s", SECONDS, "a standby takes the spool over when its owner was silent for so long", live=False
    ),
    _limit("tidy_interval_s", SECONDS, "between two rounds that remove what clients left behind"),
    Setting(
        "isolation.minimum",
        OneOf(tuple(Level), Level),
        "refuse to start where the host isolates kernels less",
        variable="KBD_ISOLATION_MINIMUM",
    ),
    Setting(
        "isolation.first_uid",
        COUNT,
        "as root: runners get this uid and the following; no user of the host may have one",
        variable="KBD_ISOLATION_FIRST_UID",
    ),
    Setting("isolation.uids", COUNT, "how many uids", variable="KBD_ISOLATION_UIDS"),
    _runner("memory_bytes", "host memory of one runner", "half of the host's"),
    _runner("device_memory_bytes", "memory of a CUDA device that torch gives to one kernel", "all"),
    Setting(
        "runner.processes",
        COUNT,
        "processes and threads of one runner",
        "isolation.processes",
        "KBD_RUNNER_PROCESSES",
    ),
    _runner("folder_bytes", "its folder, in memory: what it builds"),
    _runner("temporary_bytes", "its /tmp, in memory"),
    _runner("shared_memory_bytes", "its /dev/shm, in memory"),
    Setting(
        "compile.slots", COUNT, "kernels compiled at once", "compilers.slots", variable="KBD_COMPILE_SLOTS"
    ),
    Setting("compile.limit_s", SECONDS, "compiling one kernel", "compilers.limit_s", "KBD_COMPILE_S"),
    Setting(
        "compile.memory_bytes",
        SIZE,
        "private memory of one process of a build",
        "compilers.memory_bytes",
        "KBD_COMPILE_MEMORY_BYTES",
        unset="as a runner",
    ),
    Setting(
        "compile.artifacts",
        LOCATION,
        "where compiled kernels are kept; daemons may share it",
        "compilers.cache",
        "KBD_ARTIFACTS",
    ),
    Setting(
        "compile.artifacts_bytes",
        SIZE,
        "how much is kept; the least recently used go first",
        "compilers.cache_bytes",
        "KBD_ARTIFACTS_BYTES",
    ),
    Setting(
        "metrics.file",
        LOCATION,
        "metrics for Prometheus are written here (textfile collector)",
        variable="KBD_METRICS_FILE",
        flag="--metrics-file",
    ),
    Setting(
        "metrics.port",
        Whole(1, 65_535),
        "metrics are served on this port of 127.0.0.1",
        variable="KBD_METRICS_PORT",
        flag="--metrics-port",
    ),
)
"""In the order of the file."""

BY_KEY: Final = {setting.key: setting for setting in SETTINGS}
SECTIONS: Final = tuple(dict.fromkeys(setting.section for setting in SETTINGS))
CONFIG_VARIABLE: Final = "KBD_CONFIG"
