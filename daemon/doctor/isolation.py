"""How far kernels can be kept from the host: as the daemon found it, or as a few trials here show it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kbd.daemon.doctor.check import Check, Patient, fail, ok, warn
from kbd.daemon.executor.sandbox import landlock
from kbd.daemon.executor.sandbox.layers import Layer, Level
from kbd.inbox.spool import Spool
from kbd.inbox.spool_snapshot import read_document

NAME: Final = "isolation"
TRIAL_LIMIT_S: Final = 30.0
_SYSCTLS: Final[Mapping[str, tuple[str, str]]] = {
    "user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=15000"),
    "kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,`",
    ),
}
_CONTAINER: Final = (
    "if this is a container, start it so that it may make namespaces (podman and docker: "
    "--security-opt seccomp=unconfined --security-opt systempaths=unconfined, see examples/container/)"
)
# A child tries each namespace by itself. Where user namespaces are crippled, unshare works and mount does not.
_TRIAL: Final = """
import sys
from kbd.daemon.executor import kernel_calls as k
user = k.CLONE_NEWUSER if sys.argv[2] == "user" else 0
k.unshare(user | getattr(k, sys.argv[1], 0))
if sys.argv[1] == "CLONE_NEWNS":
    k.mount("", "/", "", 0x44000)
"""
_TRIALS: Final = (
    (Layer.MOUNT, "CLONE_NEWNS"),
    (Layer.PID, "CLONE_NEWPID"),
    (Layer.NETWORK, "CLONE_NEWNET"),
    (Layer.IPC, "CLONE_NEWIPC"),
    (Layer.UTS, "CLONE_NEWUTS"),
)


def isolation(patient: Patient) -> Iterator[Check]:
    """What a daemon wrote into its snapshot is the truth; without one the most common causes are tried."""
    said = read_document(Spool(patient.settings.spool)).get("isolation")
    if isinstance(said, dict) and said:
        yield from _as_told(said, patient)
    else:
        yield from _as_tried(patient)


def _as_told(said: Mapping[str, Any], patient: Patient) -> Iterator[Check]:
    for kind, about in said.items():
        if not isinstance(about, dict):
            continue
        level, missing = about.get("level"), about.get("missing") or []
        if not missing:
            yield ok(NAME, f"{kind}: {level}, every layer is in force")
        else:
            yield warn(
                NAME,
                f"{kind}: {level}; missing: {'; '.join(map(str, missing))}",
                f"mend what the reasons name, then start the daemon anew; {_cure()}",
            )


def _as_tried(patient: Patient) -> Iterator[Check]:
    refused = dict(_refusals())
    if not refused:
        yield ok(NAME, "namespaces and Landlock work here; a daemon will tell about every layer")
        return
    found = "; ".join(f"{layer}: {reason}" for layer, reason in refused.items())
    strict = patient.settings.isolation.minimum.rank >= Level.NAMESPACES.rank
    bad = fail if strict else warn
    consequence = (
        "; the daemon will not start (isolation.minimum)" if strict else "; kernels are isolated less"
    )
    yield bad(NAME, f"refused here: {found}{consequence}", _cure())


def _refusals() -> Iterator[tuple[str, str]]:
    who = "root" if os.geteuid() == 0 else "user"
    if who == "user" and (reason := _tried("none", who)):
        yield Layer.USER_NAMESPACE, reason
        return
    for layer, flag in _TRIALS:
        if reason := _tried(flag, who):
            yield layer, reason
    try:
        landlock.abi_of_kernel()
    except OSError as error:
        yield Layer.LANDLOCK, error.strerror or str(error)


def _tried(flag: str, who: str) -> str | None:
    """Why it was refused; None: it was not."""
    ended = subprocess.run(
        [sys.executable, "-c", _TRIAL, flag, who], capture_output=True, text=True, timeout=TRIAL_LIMIT_S
    )
    if ended.returncode == 0:
        return None
    return (ended.stderr.strip().splitlines() or [f"status {ended.returncode}"])[-1].removeprefix("OSError: ")


def _cure(switches: Path = Path("/proc/sys")) -> str:
    """The switch that is wrong, if one is."""
    for name, (bad, cure) in _SYSCTLS.items():
        try:
            if (switches / name).read_text().strip() == bad:
                return f"set: {cure}"
        except OSError:
            continue
    return _CONTAINER
