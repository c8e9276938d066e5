"""Settings as people and programs see them: what holds, and where it comes from; and a file to begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kbd.daemon.config import Settings, value_of
from kbd.daemon.configuration.gathering import as_toml
from kbd.daemon.configuration.kinds import DATABASE, without_password
from kbd.daemon.configuration.table import SECTIONS, SETTINGS, Setting

SCHEMA_VERSION: Final = 1
_HEAD: Final = """\
# Settings of kbd. Everything is optional; what is commented out shows the default.
# Flags win over the environment (the names in brackets), which wins over this file.
# Times are in seconds (_s), sizes in bytes (_bytes). Check it with: kbd config check
# (*) A running daemon takes it over on SIGHUP; the others need a restart.
"""
_TITLES: Final[Mapping[str, str]] = {
    "limits": "Limits of jobs, of the queue and of what is kept.",
    "isolation": "How kernels are kept from the host.",
    "runner": "How much of the host one kernel may use.",
    "compile": "Compiling kernels.",
    "metrics": "Metrics for Prometheus; they need: pip install 'kbd[metrics]'",
}


@dataclass(frozen=True)
class Shown:
    """One setting, what holds, and who said so."""

    setting: Setting
    value: Any
    source: str

    @property
    def text(self) -> str:
        """The value as it is written in the file, or in words what holds without one."""
        if self.value is None:
            return f"({self.setting.unset})"
        return as_toml(without_password(self.value) if self.setting.kind is DATABASE else self.value)


def shown(settings: Settings) -> list[Shown]:
    """Every setting, in the order of the file."""
    given = settings.origin.given if settings.origin is not None else {}
    return [
        Shown(
            setting,
            value_of(settings, setting),
            given[setting.key].source if setting.key in given else "default",
        )
        for setting in SETTINGS
    ]


def document(settings: Settings) -> dict[str, Any]:
    """The same for programs."""
    file = settings.origin.file if settings.origin is not None else None
    return {
        "schema_version": SCHEMA_VERSION,
        "file": None if file is None else str(file),
        "settings": {
            each.setting.key: {
                "value": _plain(each),
                "source": each.source,
                "variable": each.setting.variable,
                "live": each.setting.live,
            }
            for each in shown(settings)
        },
    }


def _plain(each: Shown) -> Any:
    if each.setting.kind is DATABASE:
        return without_password(each.value)
    return str(each.value) if isinstance(each.value, Path) else each.value


def template(spool: Path | None = None, state: Path | None = None) -> str:
    """A file of settings in which everything is explained and only what is named here is set."""
    chosen = {"spool": spool, "state": state}
    return "\n".join(_template_lines({key: path for key, path in chosen.items() if path is not None})) + "\n"


def _template_lines(chosen: Mapping[str, Path]) -> Iterator[str]:
    yield _HEAD.rstrip()
    defaults = Settings(Path("~/.local/share/kbd/spool"), Path("~/.local/state/kbd"))
    for section in SECTIONS:
        if section:
            yield from ("", f"# {_TITLES[section]}", f"[{section}]")
        for setting in SETTINGS:
            if setting.section == section:
                yield from ("", *_entry(setting, chosen.get(setting.key), value_of(defaults, setting)))


def _entry(setting: Setting, chosen: Path | None, default: Any) -> Iterator[str]:
    live = " (*)" if setting.live else ""
    yield f"# {setting.meaning} [{setting.variable}]{live}"
    if chosen is not None:
        yield f"{setting.name} = {as_toml(chosen)}"
    elif setting.key in _OF_THE_HOST or default is None:
        yield f"# {setting.name} =    # {_OF_THE_HOST.get(setting.key, setting.unset)}"
    else:
        yield f"# {setting.name} = {as_toml(default)}"


_OF_THE_HOST: Final = {
    "compile.slots": "number of cores",
    "compile.artifacts": "artifacts/ in the state folder",
}
"""Defaults that are not the same everywhere."""
