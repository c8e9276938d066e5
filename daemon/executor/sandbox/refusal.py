"""A layer that this host does not give, and why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from kbd.daemon.executor.sandbox.layers import Layer


class LayerRefused(Exception):
    """A layer could not be put in force. `reason`: what the system said, and what would help."""

    def __init__(self, layer: Layer, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer = layer
        self.reason = reason


@contextlib.contextmanager
def needed_for(layer: Layer) -> Iterator[None]:
    """Whatever the system refuses in here is this layer refused."""
    try:
        yield
    except OSError as error:
        raise refusal(layer, error) from None


def refusal(layer: Layer, error: OSError) -> LayerRefused:
    """An error of the system's as a refusal, with advice where there is any."""
    return LayerRefused(layer, f"{error}{_advice(layer)}")


def _advice(layer: Layer) -> str:
    if layer in (Layer.USER_NAMESPACE, Layer.MOUNT):
        for path, forbidding, advice in _SWITCHES:
            if _content(path) == forbidding:
                return f" ({advice})"
    return ""


_SWITCHES = (
    ("/proc/sys/user/max_user_namespaces", "0", "user namespaces are off: sysctl user.max_user_namespaces"),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are for root only here: sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor forbids them: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for kbd",
    ),
)


def _content(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
