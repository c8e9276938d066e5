"""Which kernel types exist here: the built-in ones first, then plug-ins of the entry point `kbd.backends`.

The list can be read without torch; a backend's module is imported only where a kernel is compiled or loaded.
"""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import cast

from kbd.backends.base import Backend, Unsupported

ENTRY_POINT_GROUP = "kbd.backends"


@dataclass(frozen=True)
class Registration:
    """A kernel type and where its backend lives (`module:object`)."""

    kernel_type: str
    location: str


BUILT_IN = (
    Registration("torch", "kbd.backends.torch_backend:BACKEND"),
    Registration("torch_cuda", "kbd.backends.torch_cuda.backend:BACKEND"),
    Registration("triton", "kbd.backends.triton_backend:BACKEND"),
    Registration("cuda", "kbd.backends.cuda_backend:BACKEND"),
    Registration("multi_kernel", "kbd.backends.multi_kernel_backend:BACKEND"),
)


@cache
def registrations() -> dict[str, Registration]:
    """Every kernel type known here. A plug-in that takes a name already given is an error, not a surprise."""
    known = {registration.kernel_type: registration for registration in BUILT_IN}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in known:
            raise ValueError(
                f"plug-in {point.value} calls itself {point.name!r}, as {known[point.name].location} does; "
                "rename its entry point"
            )
        known[point.name] = Registration(point.name, point.value)
    return known


def import_built_in() -> None:
    """What every runner would spend a twentieth of a second on: the list of plug-ins, and the modules of kbd's own.

    Plug-ins themselves are imported where one of their kernels is; one whose name is given already fails there.
    """
    for registration in BUILT_IN:
        importlib.import_module(registration.location.partition(":")[0])
    importlib.import_module("kbd.backends.triton_interpreter")
    with contextlib.suppress(ValueError):
        registrations()


def why_unknown(kernel_type: str) -> str | None:
    """None when the kernel type can be used here, else the sentence for its author."""
    if kernel_type in registrations():
        return None
    available = ", ".join(sorted(registrations()))
    return f"kernel_type {kernel_type!r} is not known here; available: {available}"


def closest_kernel_type(kernel_type: str) -> str | None:
    """`did you mean …?`, for a mistyped kernel type; None for a known one, and where none is like it."""
    from kbd.inbox.validation import did_you_mean  # slow to import, and hardly ever needed

    return None if kernel_type in registrations() else did_you_mean(kernel_type, registrations())


def why_unusable(kernel_type: str) -> str | None:
    """As `why_unknown`; also for a plug-in that is there and cannot be imported."""
    problem = why_unknown(kernel_type)
    if problem is not None:
        return problem
    try:
        backend_for(kernel_type)
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and must not take the daemon along
        where = registrations()[kernel_type].location
        return (
            f"kernel_type {kernel_type!r} cannot be used: {where} fails with {type(error).__name__}: {error}"
        )
    return None


def backend_for(kernel_type: str) -> Backend:
    """The backend itself, imported now. Raises Unsupported."""
    problem = why_unknown(kernel_type)
    if problem is not None:
        raise Unsupported(problem, hint="use one of the available kernel types or install its plug-in")
    return cast(Backend, resolve_name(registrations()[kernel_type].location))
