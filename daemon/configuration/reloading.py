"""Reading the settings again while the daemon runs: what may change does, what may not is named."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kbd.daemon.config import Settings, value_of
from kbd.daemon.configuration.table import SETTINGS


@dataclass(frozen=True)
class Reloaded:
    """Settings to go on with; the keys that changed, and those that change with the next daemon."""

    settings: Settings
    applied: tuple[str, ...]
    restart: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"changed: {', '.join(self.applied)}" if self.applied else "nothing changed"]
        if self.restart:
            parts.append(f"needs a restart: {', '.join(self.restart)}")
        return "; ".join(parts)


def merge(old: Settings, new: Settings) -> Reloaded:
    """The new settings as far as a running daemon can take them over."""
    changed = [setting for setting in SETTINGS if value_of(old, setting) != value_of(new, setting)]
    fixed = [setting for setting in SETTINGS if setting.section == "limits" and not setting.live]
    limits = replace(new.limits, **{setting.name: value_of(old, setting) for setting in fixed})
    return Reloaded(
        settings=replace(old, limits=limits),  # every setting that is live is one of the limits
        applied=tuple(setting.key for setting in changed if setting.live),
        restart=tuple(setting.key for setting in changed if not setting.live),
    )
