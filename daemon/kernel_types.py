"""What of the kernel types can run on this host, and why the rest cannot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from kbd.backends.base import Target
from kbd.backends.registry import BUILT_IN, backend_for, registrations

DEVICE_KINDS: tuple[Literal["cpu", "cuda"], ...] = ("cpu", "cuda")


@dataclass(frozen=True)
class KernelType:
    """One kernel type. `missing`: by kind of device, what it lacks here; None where it can be used."""

    kernel_type: str
    location: str
    plug_in: bool
    missing: dict[str, str | None]

    def as_document(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def kernel_types() -> list[KernelType]:
    """All of them, the built-in ones first."""
    built_in = {registration.kernel_type for registration in BUILT_IN}
    return [
        KernelType(
            kernel_type=name,
            location=registration.location,
            plug_in=name not in built_in,
            missing={kind: _missing(name, kind) for kind in DEVICE_KINDS},
        )
        for name, registration in registrations().items()
    ]


def _missing(kernel_type: str, kind: Literal["cpu", "cuda"]) -> str | None:
    try:
        return backend_for(kernel_type).why_unavailable(Target(kind))
    except Exception as error:  # noqa: BLE001 - a plug-in is somebody else's code; the others can be listed
        return f"its backend cannot be imported: {type(error).__name__}: {error}"
