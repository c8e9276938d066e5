"""The file of settings: where it is looked for, how it is read, and on which line a key stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kbd.daemon.configuration.table import CONFIG_VARIABLE

SYSTEM_FILE: Final = Path("/etc/kbd/config.toml")
LIMIT_BYTES: Final = 1 << 20

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


class FileUnusable(Exception):
    """The file is not there, cannot be read, or is no TOML; the message says which and where."""


@dataclass(frozen=True)
class ConfigFile:
    """A file as it was read. `values`: by key, such as `limits.load_s`; tables are flattened."""

    path: Path
    values: Mapping[str, object]
    lines: Mapping[str, int]

    def line_of(self, key: str) -> int:
        """Where a key stands, or its table; 0 where that cannot be told."""
        return self.lines.get(key) or self.lines.get(key.rpartition(".")[0], 0)

    def place_of(self, key: str) -> str:
        """`FILE, line 7`; without the line where it cannot be told."""
        line = self.line_of(key)
        return f"{self.path}, line {line}" if line else str(self.path)


def user_file(environment: Mapping[str, str]) -> Path | None:
    """The file in the user's configuration folder; None for a process without a home."""
    if folder := environment.get("XDG_CONFIG_HOME"):
        return Path(folder) / "kbd" / "config.toml"
    home = environment.get("HOME")
    return Path(home) / ".config" / "kbd" / "config.toml" if home else None


def candidates(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a file is looked for that nobody named; the first that is there is the one."""
    own = user_file(environment)
    return (SYSTEM_FILE,) if own is None else (own, SYSTEM_FILE)


def find(named: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The file in use: flag, then KBD_CONFIG, then the first candidate that is there. None: there is none.

    Raises FileUnusable where nobody may look.
    """
    if named is not None:
        return named.absolute()
    if text := environment.get(CONFIG_VARIABLE):
        return Path(text).expanduser().absolute()
    return next(filter(_is_there, candidates(environment)), None)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise FileUnusable(
            f"{path} cannot be looked for: {error.strerror}; set HOME or XDG_CONFIG_HOME to a folder of this "
            "user's, or name a file of settings with --config"
        ) from None


def read(path: Path) -> ConfigFile:
    """Read a file. Raises FileUnusable."""
    # Imported here: every command looks for a file, and few hosts have one.
    import tomllib

    text = _text_of(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileUnusable(f"{path} is no TOML: {error}") from None
    return ConfigFile(path, dict(_flat(document)), lines_of(text))


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
        if len(content) > LIMIT_BYTES:
            raise FileUnusable(f"{path} has more than {LIMIT_BYTES} bytes: expected a file of settings")
        return content.decode()
    except FileNotFoundError:
        raise FileUnusable(
            f"{path} is not there: expected a file of settings. `kbd init` writes one"
        ) from None
    except UnicodeDecodeError as error:
        raise FileUnusable(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise FileUnusable(f"{path} cannot be read: {error.strerror}") from None


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
            if not value:
                yield f"{prefix}{name}", value
        else:
            yield f"{prefix}{name}", value


def lines_of(text: str) -> dict[str, int]:
    """The line of each key and table, counted from 1. tomllib does not tell; this is for messages alone."""
    section = ""
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.fullmatch(line):
            section = _plain(header[1])
            found.setdefault(section, number)
        elif key := _KEY.match(line):
            found.setdefault(f"{section}.{_plain(key[1])}" if section else _plain(key[1]), number)
    return found


def _plain(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))
