"""What was given, by whom: defaults < file < environment < flags. Everything wrong is found at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kbd.daemon.configuration.file import ConfigFile
from kbd.daemon.configuration.kinds import Unfit
from kbd.daemon.configuration.table import BY_KEY, CONFIG_VARIABLE, SECTIONS, SETTINGS, Setting

_PREFIX = "KBD_"


@dataclass(frozen=True)
class Given:
    """A value and where it comes from: `flag --spool`, `environment KBD_SPOOL`, `/etc/kbd/config.toml, line 3`."""

    value: Any
    source: str


@dataclass
class Gathered:
    """What was given, by key; what is wrong with it, and what only looks wrong."""

    given: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def gather(
    file: ConfigFile | None,
    environment: Mapping[str, str],
    flags: Mapping[str, Any],
    *,
    only: Collection[str] = BY_KEY,
) -> Gathered:
    """Read all sources. `flags`: values by key, None where it was not used. `only`: look at these keys alone."""
    found = Gathered()
    if file is not None:
        _take_from_file(file, found, only)
    for setting in SETTINGS:
        if setting.key in only:
            _take_from_environment(setting, environment, found)
            if (value := flags.get(setting.key)) is not None:
                found.given[setting.key] = Given(value, f"flag {setting.flag}")
    found.doubts += _unknown_variables(environment)
    return found


def _take_from_file(file: ConfigFile, found: Gathered, only: Collection[str]) -> None:
    for key in sorted(file.values, key=file.line_of):
        setting, value = BY_KEY.get(key), file.values[key]
        if setting is None and only is BY_KEY:
            found.problems += _why_unknown(key, file)
        if setting is None or key not in only:
            continue
        try:
            found.given[key] = Given(setting.kind.from_toml(value), file.place_of(key))
        except Unfit:
            found.problems.append(
                f"{file.place_of(key)}: {key} must be {setting.kind.expected}, found {as_toml(value)}"
            )


def _take_from_environment(setting: Setting, environment: Mapping[str, str], found: Gathered) -> None:
    text = environment.get(setting.variable)
    if text is None or (not text and setting.kind.empty_is_unset):
        return
    try:
        found.given[setting.key] = Given(setting.kind.from_text(text), f"environment {setting.variable}")
    except Unfit:
        found.problems.append(f"{setting.variable} must be {setting.kind.expected}, found {text!r}")


def _why_unknown(key: str, file: ConfigFile) -> Iterator[str]:
    """Nothing about a table that is one."""
    place, value = file.place_of(key), file.values[key]
    if key not in SECTIONS:
        yield f"{place}: there is no setting {key!r}. {_meant(key)}"
    elif value != {}:
        yield f"{place}: {key} must be a table ([{key}]), found {as_toml(value)}"


def _meant(key: str) -> str:
    """What may have been meant: the same name in another table, or a name that looks alike."""
    name = key.rpartition(".")[2]
    same = [setting.key for setting in SETTINGS if setting.name == name]
    close = same or _alike(key, BY_KEY, 0.6)
    if not close:
        names = {setting.name: setting.key for setting in SETTINGS}
        close = [names[alike] for alike in _alike(name, names, 0.6)]
    return f"Did you mean {' or '.join(close)}?" if close else "See them all: kbd config show"


def _alike(name: str, known: Collection[str], cutoff: float) -> list[str]:
    # Imported here: every command gathers settings, and few of them are misspelt.
    from difflib import get_close_matches

    return get_close_matches(name, known, n=1, cutoff=cutoff)


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    known = [CONFIG_VARIABLE, *(setting.variable for setting in SETTINGS)]
    for name in sorted(environment):
        if name.startswith(_PREFIX) and name not in known:
            close = _alike(name, known, 0.8)
            hint = f" Did you mean {close[0]}?" if close else ""
            yield f"the environment variable {name} is no setting and has no effect.{hint}"


def as_toml(value: object) -> str:
    """A value as it is written in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if value == value // 1 else repr(value)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = "".join(
        f"\\u{ord(letter):04x}"
        if ord(letter) < 32 or ord(letter) == 127
        else f"\\{letter}"
        if letter in '"\\'
        else letter
        for letter in text
    )
    return f'"{escaped}"'
