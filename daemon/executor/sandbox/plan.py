"""What the daemon asks of one runner's sandbox: small, frozen, and nothing in it that a kernel must not know."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from kbd.daemon.executor.sandbox.layers import Layer

FOLDER = "/kernel"
TEMPORARY = "/tmp"  # noqa: S108 - a file system of the runner's own
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - likewise
INNER_UID = 1000
"""Who a runner is inside a user namespace; outside it is whoever the daemon is."""


class Bounds(BaseModel):
    """How much of the host one runner may use. Sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder_bytes: int = Field(default=2 << 30, gt=0)
    temporary_bytes: int = Field(default=1 << 30, gt=0)
    shared_memory_bytes: int = Field(default=1 << 30, gt=0)
    memory_bytes: int | None = Field(default=None, gt=0)
    device_memory_bytes: int | None = Field(default=None, gt=0)
    processes: int = Field(default=1024, gt=0)
    open_files: int = Field(default=16_384, gt=0)

    @property
    def file_bytes(self) -> int:
        """No file can be larger than the largest place it could lie in."""
        return max(self.folder_bytes, self.temporary_bytes, self.shared_memory_bytes)


class Sandbox(BaseModel):
    """One runner's sandbox. `hidden`: folders of the host that must not show through a visible one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: frozenset[Layer]
    bounds: Bounds = Bounds()
    uid: int | None = None
    hidden: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    cuda: bool = False

    def has(self, layer: Layer) -> bool:
        """Whether this layer is asked for."""
        return layer in self.layers

    @property
    def inner_uid(self) -> int | None:
        """The uid under which the runner sees itself, where that is decided here."""
        if self.has(Layer.USER_NAMESPACE):
            return INNER_UID
        return self.uid if self.has(Layer.OWN_UID) else None
