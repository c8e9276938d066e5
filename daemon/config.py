"""The daemon's settings, resolved once: defaults < environment (KBD_…) < flags; frozen afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path, user_state_path

from kbd.daemon import compile_settings
from kbd.daemon.compile_settings import CompileSettings
from kbd.daemon.isolation_options import IsolationOptions, from_environment

if TYPE_CHECKING:
    from kbd.daemon.devices import DeviceKind
    from kbd.daemon.executor.protocol import StageLimits
    from kbd.daemon.executor.sandbox.isolation import IsolationSettings


LIMIT_VARIABLES = {
    "queue_limit": ("KBD_QUEUE_LIMIT", 1),
    "min_free_bytes": ("KBD_MIN_FREE_BYTES", 0),
    "log_days": ("KBD_LOG_DAYS", 0),
    "log_bytes": ("KBD_LOG_BYTES", 0),
    "lease_s": ("KBD_LEASE_S", 1),
    "history_days": ("KBD_HISTORY_DAYS", 0),
    "history_jobs": ("KBD_HISTORY_JOBS", 1),
}
"""Limits that the environment may set: whole numbers, with the least of each."""


class ConfigError(Exception):
    """A setting makes no sense; the message names it."""


def default_spool_root() -> Path:
    """The spool in the user's data folder: the only one that `kbd run` creates by itself."""
    return user_data_path("kbd") / "spool"


def default_state_dir() -> Path:
    """Where database, logs and lock live: always a local disk."""
    return user_state_path("kbd")


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
class Settings:
    """Everything a daemon is told.

    Attributes:
        spool_named: somebody chose the spool, so it must exist already.
        cpu_slots: into so many devices the CPU is divided.
        device_slots: so many jobs at a time on each CUDA device, one of them alone while it is timed; None: by
            the device's memory.
    """

    spool: Path
    state: Path
    spool_named: bool = True
    device: DeviceKind = "auto"
    cpu_slots: int = 1
    device_slots: int | None = None
    limits: Limits = field(default_factory=Limits)
    isolation: IsolationOptions = field(default_factory=IsolationOptions)
    compiling: CompileSettings | None = None

    @property
    def compilers(self) -> CompileSettings:
        """How kernels are compiled; artifacts lie in the state folder unless somebody said where."""
        return self.compiling or CompileSettings(self.state / "artifacts")

    @property
    def database(self) -> Path:
        """The folder of the database file."""
        return self.state

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


def locate(
    spool: Path | None, state: Path | None, environment: Mapping[str, str] = os.environ
) -> tuple[Path, Path, bool]:
    """Spool, state folder, and whether somebody named the spool: flag, then KBD_SPOOL / KBD_STATE, then default."""
    named_spool = spool or _path(environment, "KBD_SPOOL")
    named_state = state or _path(environment, "KBD_STATE")
    return (
        (named_spool or default_spool_root()).absolute(),
        (named_state or default_state_dir()).absolute(),
        named_spool is not None,
    )


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name)
    return Path(value).expanduser() if value else None


def resolve(
    spool: Path | None = None,
    state: Path | None = None,
    device: DeviceKind | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """All settings together. Raises ConfigError."""
    spool_root, state_dir, named = locate(spool, state, environment)
    limits = _limits(environment)
    settings = Settings(
        spool=spool_root,
        state=state_dir,
        spool_named=named,
        limits=limits,
        isolation=_isolation(environment),
        compiling=compile_settings.from_environment(state_dir, environment, _positive),
    )
    if device is not None:
        settings = replace(settings, device=device)
    if (slots := environment.get("KBD_CPU_SLOTS")) is not None:
        settings = replace(settings, cpu_slots=_positive("KBD_CPU_SLOTS", slots))
    if (slots := environment.get("KBD_DEVICE_SLOTS")) is not None:
        settings = replace(settings, device_slots=_positive("KBD_DEVICE_SLOTS", slots))
    return settings


def _limits(environment: Mapping[str, str]) -> Limits:
    given = {
        field: _whole(variable, environment[variable], least=least)
        for field, (variable, least) in LIMIT_VARIABLES.items()
        if variable in environment
    }
    return replace(Limits(), **given)


def _isolation(environment: Mapping[str, str]) -> IsolationOptions:
    try:
        return from_environment(environment, _positive)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _positive(name: str, text: str) -> int:
    return _whole(name, text, least=1)


def _whole(name: str, text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise ConfigError(f"{name} must be a whole number from {least} up, found {text!r}")
    return int(text)
