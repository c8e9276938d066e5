"""What is in force around kernels on this host: found once by the probe, then used and told unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kbd.daemon.executor.sandbox.cgroup import CgroupHome
from kbd.daemon.executor.sandbox.layers import Layer, Level, level_of
from kbd.daemon.executor.sandbox.plan import INNER_UID, Bounds, Sandbox
from kbd.outbox.circumstances import IsolationReport


class IsolationTooWeak(Exception):
    """The host gives less isolation than the configuration asks for; the message says what is missing."""


@dataclass(frozen=True)
class IsolationSettings:
    """What the configuration says about isolation.

    As root every runner gets a uid of its own, `first_uid` and the `uids - 1` that follow, in turn; no user of
    the host should have one of these. `hidden`: folders that no runner may see (spool, state).
    """

    minimum: Level = Level.NONE
    first_uid: int = 61_000
    uids: int = 1_000
    bounds: Bounds = field(default_factory=Bounds)
    hidden: tuple[str, ...] = ()


NOTHING: Final[frozenset[Layer]] = frozenset()


@dataclass(frozen=True)
class Isolation:
    """The outcome of a probe.

    `layers` are applied to every runner; those of them in `ineffective` did not deny what they should, and
    `absent` ones are not applied at all. Both with the reason.
    """

    settings: IsolationSettings
    layers: frozenset[Layer] = NOTHING
    absent: tuple[tuple[Layer, str], ...] = ()
    ineffective: tuple[tuple[Layer, str], ...] = ()
    landlock_abi: int | None = None
    cgroups: CgroupHome | None = None
    cuda: bool = False

    @property
    def in_force(self) -> frozenset[Layer]:
        """Layers that are applied and that hold."""
        return self.layers - {layer for layer, _ in self.ineffective}

    @property
    def level(self) -> Level:
        """The named level that this amounts to."""
        return level_of(self.in_force)

    def sandbox(self, number: int) -> Sandbox:
        """The sandbox with this number: its group is nobody else's, its uid comes round again."""
        return Sandbox(
            layers=self.layers,
            bounds=self.settings.bounds,
            uid=self.settings.first_uid + number % self.settings.uids,
            hidden=self.settings.hidden,
            cgroups=self.cgroups.group(number) if self.cgroups is not None else (),
            cuda=self.cuda,
        )

    def require(self, minimum: Level) -> None:
        """Raises IsolationTooWeak below this level."""
        if self.level.rank < minimum.rank:
            missing = "\n".join(f"  {line}" for line in self.missing) or "  nothing that is known"
            raise IsolationTooWeak(
                f"isolation.minimum is {minimum}, this host gives {self.level}. Missing:\n{missing}\n"
                "Make these work (`kbd doctor` shows them again) or lower isolation.minimum."
            )

    @property
    def missing(self) -> tuple[str, ...]:
        """Each layer that is not in force, with the reason."""
        absent = (f"{layer}: {reason}" for layer, reason in self.absent)
        return (*absent, *(f"{layer}: {reason}" for layer, reason in self.ineffective))

    def report(self) -> IsolationReport:
        """For every result."""
        in_force = self.in_force
        return IsolationReport(
            user=self._user(),
            landlock_abi=self.landlock_abi if Layer.LANDLOCK in in_force else None,
            network="none" if Layer.NETWORK in in_force else "the host's",
            pids="own namespace" if Layer.PID in in_force else "the host's",
            layers=tuple(layer.value for layer in Layer if layer in in_force),
            missing=self.missing,
        )

    def _user(self) -> str:
        first, last = self.settings.first_uid, self.settings.first_uid + self.settings.uids - 1
        if Layer.OWN_UID in self.in_force:
            return f"a uid of its own ({first} to {last})"
        if Layer.USER_NAMESPACE in self.in_force:
            return f"uid {INNER_UID} in a user namespace"
        return "the daemon's own"
