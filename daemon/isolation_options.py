"""What the configuration says about isolation: how much there must be, how much of the host a runner may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbd.daemon.executor.sandbox.layers import Level

if TYPE_CHECKING:
    from kbd.daemon.executor.sandbox.isolation import IsolationSettings


@dataclass(frozen=True)
class IsolationOptions:
    """Sizes in bytes, each for one runner.

    Attributes:
        minimum: the daemon refuses to start where the host gives less.
        first_uid: as root, runners get this uid and the ones that follow, in turn; no user may have one of them.
        uids: how many.
        folder_bytes: its own folder, which holds what it builds.
        temporary_bytes: its /tmp.
        shared_memory_bytes: its /dev/shm.
        memory_bytes: host memory; by default half of what the host has.
        device_memory_bytes: memory of a CUDA device that torch gives out; by default all of it.
        processes: processes and threads.
    """

    minimum: Level = Level.NONE
    first_uid: int = 61_000
    uids: int = 1_000
    folder_bytes: int = 2 << 30
    temporary_bytes: int = 1 << 30
    shared_memory_bytes: int = 1 << 30
    memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    processes: int = 1024

    def settings(self, *hidden: str) -> IsolationSettings:
        """In the sandbox's own terms. `hidden`: folders that no runner may see."""
        # Imported here: every command resolves its folders, and few need the sandbox's models.
        from kbd.daemon.executor.sandbox.host_memory import host_memory_bytes
        from kbd.daemon.executor.sandbox.isolation import IsolationSettings
        from kbd.daemon.executor.sandbox.plan import Bounds

        bounds = {name: getattr(self, name) for name in Bounds.model_fields if hasattr(self, name)}
        bounds["memory_bytes"] = self.memory_bytes or host_memory_bytes() // 2
        return IsolationSettings(
            minimum=self.minimum,
            first_uid=self.first_uid,
            uids=self.uids,
            bounds=Bounds(**bounds),
            hidden=hidden,
        )
