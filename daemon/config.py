"""The daemon's settings, resolved once: defaults < file < environment (KBD_…) < flags; frozen afterwards.

What there is to set stands in `kbd.daemon.configuration.table`; this module turns it into `Settings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kbd.daemon.compile_settings import CompileSettings
from kbd.daemon.configuration import file as config_file
from kbd.daemon.configuration.file import FileUnusable
from kbd.daemon.configuration.gathering import Gathered, Given, gather
from kbd.daemon.configuration.table import BY_KEY, Setting
from kbd.daemon.isolation_options import IsolationOptions
from kbd.store.location import SQLITE

if TYPE_CHECKING:
    from kbd.daemon.devices import DeviceKind
    from kbd.daemon.executor.protocol import StageLimits
    from kbd.daemon.executor.sandbox.isolation import IsolationSettings


PLACES: Final = ("spool", "state")


class ConfigError(Exception):
    """Settings make no sense; the message names each and where it stands."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(
            self.problems[0]
            if len(self.problems) == 1
            else f"{len(self.problems)} settings are wrong:{lines}"
        )


@dataclass(frozen=True)
class Origin:
    """What settings were resolved from, so that they can be resolved again.

    Attributes:
        named_file: the file that a flag named.
        file: the file in use.
        given: what was given and by whom, by key; the others have their defaults.
        doubts: what only looks wrong.
    """

    named_file: Path | None
    environment: Mapping[str, str]
    flags: Mapping[str, Any]
    file: Path | None
    given: Mapping[str, Given]
    doubts: tuple[str, ...]


def default_spool_root() -> Path:
    """The spool in the user's data folder: the only one that `kbd run` creates by itself."""
    return _user_folder("XDG_DATA_HOME", ".local/share") / "spool"


def default_state_dir() -> Path:
    """Where database, logs and lock live: always a local disk."""
    return _user_folder("XDG_STATE_HOME", ".local/state")


def _user_folder(variable: str, below_home: str) -> Path:
    """As the XDG Base Directory Specification has it."""
    chosen = os.environ.get(variable, "").strip()
    return (Path(chosen) if chosen else Path.home() / below_home) / "kbd"


@dataclass(frozen=True)
class Limits:
    """Times in seconds, sizes in bytes, counts.

    Attributes:
        queue_limit: jobs that may be claimed and wait; further ones stay in the inbox.
        min_free_bytes: claiming stops while less is free where the spool or the state folder lies.
        queue_window: so many jobs that wait for a device are passed over to find one that a free device suits.
        retry_first_s: rest of a job after its first failed attempt; it doubles with each further one.
        retry_longest_s: the longest rest.
        log_days: the logs of a job are removed so long after its last output.
        log_bytes: so much all logs of jobs may take; the oldest are removed first.
        lease_s: a standby takes the spool over when its owner was silent for so long.
        history_days: published jobs are forgotten so long after their end; 0: never.
        history_jobs: so many published jobs are remembered; the oldest are forgotten first.
        tidy_interval_s: between two rounds that remove what clients left behind.
    """

    load_s: float = 60.0
    correctness_s: float = 30.0
    timing_s: float = 30.0
    timing_budget_s: float = 2.0
    grace_s: float = 10.0
    max_attempts: int = 3
    retry_first_s: float = 2.0
    retry_longest_s: float = 300.0
    scan_interval_s: float = 30.0
    network_scan_interval_s: float = 5.0
    status_interval_s: float = 2.0
    lease_s: float = 30.0
    history_days: int = 0
    history_jobs: int = 1_000_000
    tidy_interval_s: float = 3600.0
    queue_window: int = 64
    queue_limit: int = 100_000
    min_free_bytes: int = 256 << 20
    log_days: int = 14
    log_bytes: int = 2 << 30

    @property
    def stages(self) -> StageLimits:
        """Those that a judge needs to know."""
        # Imported here: every command resolves its folders, and few need the protocol's models.
        from kbd.daemon.executor.protocol import StageLimits

        return StageLimits(
            load_s=self.load_s,
            correctness_s=self.correctness_s,
            timing_s=self.timing_s,
            timing_budget_s=self.timing_budget_s,
        )


@dataclass(frozen=True)
class MetricsSettings:
    """Where metrics for Prometheus go: a file, a port of 127.0.0.1, both, or nowhere."""

    file: Path | None = None
    port: int | None = None


@dataclass(frozen=True)
class Settings:
    """Everything a daemon is told.

    Attributes:
        spool_named: somebody chose the spool, so it must exist already.
        database: `sqlite` (a file in the state folder), or the URL of a PostgreSQL database.
        cpu_slots: into so many devices the CPU is divided.
        device_slots: so many jobs at a time on each CUDA device, one of them alone while it is timed; None: by
            the device's memory.
        reference_uses: so many jobs with the same reference share its process; None: by the kind of device.
    """

    spool: Path
    state: Path
    spool_named: bool = True
    database: str = SQLITE
    device: DeviceKind = "auto"
    cpu_slots: int = 1
    device_slots: int | None = None
    reference_uses: int | None = None
    limits: Limits = field(default_factory=Limits)
    isolation: IsolationOptions = field(default_factory=IsolationOptions)
    compiling: CompileSettings | None = None
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @property
    def compilers(self) -> CompileSettings:
        """How kernels are compiled; artifacts lie in the state folder unless somebody said where."""
        return self.compiling or CompileSettings(self.state / "artifacts")

    @property
    def work(self) -> Path:
        """Scratch folders of running jobs; emptied at every start."""
        return self.state / "work"

    @property
    def logs(self) -> Path:
        """The daemon's own log and the nursery's."""
        return self.state / "logs"

    @property
    def sandboxing(self) -> IsolationSettings:
        """How runners are isolated; spool, state folder and artifacts are hidden from them."""
        return self.isolation.settings(str(self.spool), str(self.state), str(self.compilers.cache))

    @property
    def lock(self) -> Path:
        """Held by the daemon that uses this state folder."""
        return self.state / "daemon.lock"


class Located(NamedTuple):
    """Where things are. `spool_named`: somebody chose the spool. `database`: as in Settings."""

    spool: Path
    state: Path
    spool_named: bool
    database: str


def locate(
    spool: Path | None,
    state: Path | None,
    environment: Mapping[str, str] = os.environ,
    config: Path | None = None,
) -> Located:
    """Spool, state folder and database, for who looks at nothing else. Raises ConfigError."""
    flags = {"spool": spool, "state": state}
    _, found = _gathered(environment, config, flags, only=(*PLACES, "database"))
    database = found.given.get("database")
    return Located(*_places(found), SQLITE if database is None else str(database.value))


def resolve(
    spool: Path | None = None,
    state: Path | None = None,
    device: DeviceKind | None = None,
    environment: Mapping[str, str] = os.environ,
    *,
    config: Path | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """All settings together. `flags`: more of them, by key. Raises ConfigError."""
    flags = {"spool": spool, "state": state, "device": device} | dict(flags or {})
    file, found = _gathered(environment, config, flags, only=BY_KEY)
    origin = Origin(config, dict(environment), flags, file, found.given, tuple(found.doubts))
    return _settings(found, origin)


def resolve_again(settings: Settings) -> Settings:
    """The same once more, from the file as it is now. Raises ConfigError."""
    origin = settings.origin
    if origin is None:
        return settings
    return resolve(environment=origin.environment, config=origin.named_file, flags=origin.flags)


def value_of(settings: Settings, setting: Setting) -> Any:
    """What holds for one setting; None where it has no value."""
    return reduce(getattr, setting.attribute.split("."), settings)


def _gathered(
    environment: Mapping[str, str], config: Path | None, flags: Mapping[str, Any], *, only: Any
) -> tuple[Path | None, Gathered]:
    try:
        path = config_file.find(config, environment)
        found = gather(config_file.read(path) if path is not None else None, environment, flags, only=only)
    except FileUnusable as error:
        raise ConfigError([str(error)]) from None
    if found.problems:
        raise ConfigError(found.problems)
    return path, found


def _places(found: Gathered) -> tuple[Path, Path, bool]:
    spool, state = (found.given.get(key) for key in PLACES)
    return (
        (spool.value if spool else default_spool_root()).absolute(),
        (state.value if state else default_state_dir()).absolute(),
        spool is not None,
    )


def _settings(found: Gathered, origin: Origin) -> Settings:
    spool, state, named = _places(found)
    return Settings(
        spool=spool,
        state=state,
        spool_named=named,
        limits=replace(Limits(), **_part(found, "limits")),
        isolation=replace(IsolationOptions(), **_part(found, "isolation")),
        compiling=CompileSettings(**{"cache": state / "artifacts"} | _part(found, "compilers")),
        metrics=MetricsSettings(**_part(found, "metrics")),
        origin=origin,
        **{name: value for name, value in _part(found, "").items() if name not in PLACES},
    )


def _part(found: Gathered, of: str) -> dict[str, Any]:
    """What was given for one part of Settings, by attribute."""
    attributes = {BY_KEY[key].attribute.rpartition("."): given.value for key, given in found.given.items()}
    return {name: value for (part, _, name), value in attributes.items() if part == of}
