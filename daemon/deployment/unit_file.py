"""The unit of systemd, for the system or for one user.

What the sandbox needs is left alone, and the unit says so where a reader would expect the opposite: user
namespaces, mounts, an untouched /proc and /sys, setting a host's name, memory that is written and executed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WATCHDOG_S: Final = 60

_UNIT: Final = """\
# kbd as a service of {whose}. Written by `kbd init`; see docs/operating.md.
[Unit]
Description=kbd, judge of GPU kernels
{order}RequiresMountsFor={mounts}
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
# Settings that are wrong (2) stay wrong; a drain ends with 0 and is no failure.
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
TimeoutStartSec=300
# The daemon gives signs of life while its loop does its rounds, and while it waits for a file server.
WatchdogSec={watchdog_s}
# The daemon ends its kernels itself; after the time for that, everything goes.
KillMode=mixed
TimeoutStopSec=60
# A kernel that uses up its memory must not take the daemon with it.
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=65536
# A cgroup for each runner; the daemon moves itself into one of its own.
Delegate=yes
NoNewPrivileges=yes
{hardening}
[Install]
WantedBy={target}
"""

_ORDER: Final = """\
Wants=network-online.target
After=network-online.target remote-fs.target nvidia-persistenced.service
"""
_HARDENING: Final = """\

User={user}
CapabilityBoundingSet=
AmbientCapabilities=
UMask=0022
# Everything is read-only but spool, state folder, and /tmp, where daemons meet to share GPUs (no PrivateTmp).
ProtectSystem=strict
ReadWritePaths={writable} /tmp
ProtectHome=read-only
# NVIDIA's devices and nothing else. /dev itself stays (no PrivateDevices).
DevicePolicy=closed
DeviceAllow=char-nvidia* rw
KeyringMode=private
LockPersonality=yes
ProtectClock=yes
ProtectKernelModules=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
# Not set, because the sandbox around each kernel needs them: RestrictNamespaces, ProtectKernelTunables,
# ProtectKernelLogs, ProtectControlGroups, ProtectProc (all of which hide parts of /proc or /sys, and then no
# namespace gets a /proc of its own), ProtectHostname, PrivateUsers; and, because Triton and torch compile while
# they run, MemoryDenyWriteExecute.
"""


@dataclass(frozen=True)
class Service:
    """What the unit starts, and where.

    Attributes:
        config: the file of settings.
        writable: spool, state folder, and whatever else the daemon writes.
        user: who it runs as; None: the service of the user whose systemd reads the unit.
    """

    config: Path
    writable: Sequence[Path]
    user: str | None


def unit_text(service: Service) -> str:
    """The unit file."""
    paths = " ".join(map(quoted, service.writable))
    system = service.user is not None
    return _UNIT.format(
        whose="the system" if system else "one user",
        order=_ORDER if system else "",
        mounts=paths,
        command=" ".join(map(quoted, [*program(), "run", "--config", str(service.config)])),
        watchdog_s=WATCHDOG_S,
        hardening=_HARDENING.format(user=service.user, writable=paths) if system else "",
        target="multi-user.target" if system else "default.target",
    )


def program() -> list[str]:
    """How this very kbd is started."""
    script = Path(sys.executable).parent / "kbd"
    return [str(script)] if script.is_file() else [sys.executable, "-m", "kbd.daemon.cli.main"]


def quoted(value: str | Path) -> str:
    """A word as systemd reads it: `%` and `$` stand for themselves, blanks are held together."""
    text = str(value).replace("%", "%%").replace("$", "$$")
    if any(letter in text for letter in " \t\"'\\;"):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text
