"""How people write ages and sizes on a command line."""

import re
from typing import Final

import click

_AGE_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SIZE_UNITS: Final = {letter: 1024**power for power, letter in enumerate(("", "K", "M", "G", "T"))}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?")


def seconds_of(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """How long ago, as seconds: `30s`, `15m`, `2h`, `7d`."""
    if value is None:
        return None
    found = _AGE.fullmatch(value.strip())
    if found is None:
        raise click.BadParameter(f"expected a number and s, m, h or d, such as 30m or 2h; found {value!r}")
    return float(found[1]) * _AGE_UNITS_S[found[2]]


def bytes_of(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """How much, as bytes: `500M`, `2GiB`, `1048576`. Units are binary."""
    if value is None:
        return None
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise click.BadParameter(f"expected a number and K, M, G or T, such as 500M; found {value!r}")
    return int(float(found[1]) * _SIZE_UNITS[found[2]])
