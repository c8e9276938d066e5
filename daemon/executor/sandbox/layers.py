"""The layers of the sandbox, which needs which, and the levels that a configuration may ask for.

Every layer is one mechanism of the kernel. Layers do not know each other except through NEEDS: what one needs
is dropped together with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Layer(StrEnum):
    """One mechanism between a kernel and the host."""

    OWN_UID = "own uid"
    USER_NAMESPACE = "user namespace"
    MOUNT = "mount namespace"
    PID = "PID namespace"
    NETWORK = "network namespace"
    IPC = "IPC namespace"
    UTS = "UTS namespace"
    NO_NEW_PRIVILEGES = "no new privileges"
    CAPABILITIES = "no capabilities"
    LANDLOCK = "Landlock"
    SECCOMP = "seccomp"
    RESOURCE_LIMITS = "resource limits"
    PRIVATE_MEMORY = "private memory"
    PROCESS_COUNT = "process count"
    OOM_FIRST = "first to be killed when memory runs out"
    CGROUP = "cgroup"


FOUNDATIONS: Final = (Layer.OWN_UID, Layer.USER_NAMESPACE)
"""Who the runner is: one of these, never both. Root chooses the first that works, others have the second."""

NAMESPACES: Final = (Layer.MOUNT, Layer.PID, Layer.NETWORK, Layer.IPC, Layer.UTS)

NEEDS: Final[Mapping[Layer, frozenset[Layer]]] = MappingProxyType(
    {
        # CUDA refuses to start (error 304) where /proc shows another PID namespace than its own.
        Layer.PID: frozenset({Layer.MOUNT}),
        Layer.LANDLOCK: frozenset({Layer.NO_NEW_PRIVILEGES}),
        Layer.SECCOMP: frozenset({Layer.NO_NEW_PRIVILEGES}),
    }
)


class Level(StrEnum):
    """How much isolation there is, or has to be. Each holds what the ones before it hold."""

    NONE = "none"
    PROCESS = "process"
    NAMESPACES = "namespaces"
    FULL = "full"

    @property
    def rank(self) -> int:
        """0 for the weakest."""
        return list(Level).index(self)


_PROCESS: Final = frozenset(
    {Layer.NO_NEW_PRIVILEGES, Layer.CAPABILITIES, Layer.SECCOMP, Layer.RESOURCE_LIMITS}
)
_NAMESPACES: Final = _PROCESS | {Layer.MOUNT, Layer.PID, Layer.NETWORK, Layer.IPC}
REQUIRED: Final[Mapping[Level, frozenset[Layer]]] = MappingProxyType(
    {
        Level.NONE: frozenset(),
        Level.PROCESS: _PROCESS,
        Level.NAMESPACES: _NAMESPACES,
        Level.FULL: _NAMESPACES | {Layer.UTS, Layer.LANDLOCK, Layer.PROCESS_COUNT},
    }
)


def level_of(layers: frozenset[Layer]) -> Level:
    """The highest level whose layers are all here. From `namespaces` on, a foundation must be among them."""
    reached = Level.NONE
    for level in Level:
        founded = level.rank < Level.NAMESPACES.rank or not layers.isdisjoint(FOUNDATIONS)
        if REQUIRED[level] <= layers and founded:
            reached = level
    return reached


def without(layers: frozenset[Layer], dropped: Layer, *, root: bool) -> frozenset[Layer]:
    """These layers less one and less all that need it. Only root has namespaces without a user namespace."""
    gone = {dropped} | {layer for layer, needs in NEEDS.items() if dropped in needs}
    if dropped is Layer.USER_NAMESPACE and not root:
        gone |= set(NAMESPACES)
    return layers - gone
