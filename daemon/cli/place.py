"""Where a command works: which spool, and which state folder."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import rich_click as click

from kbd.inbox.spool import Spool


@dataclass(frozen=True, slots=True)
class Place:
    """The folders a command was pointed at, by flag, environment or default, in this order.

    `spool_named`: somebody chose the spool, so kbd must not create it unasked.
    """

    spool_root: Path
    state: Path
    spool_named: bool

    def spool(self) -> Spool:
        """The spool, which must be there. Raises SpoolMissing."""
        return Spool.open(self.spool_root)


def _folder(*flags: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: A002
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option(*flags, type=kind, metavar="DIR", help=help)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --spool and --state, and their meaning as its first argument, a Place."""

    @_folder(
        "--spool", help="The spool: where jobs and results lie. Default: $KBD_SPOOL, else a user folder."
    )
    @_folder("--state", help="The daemon's database, logs and lock. Default: $KBD_STATE, else a user folder.")
    @wraps(command)
    def placed(*args: Any, spool: Path | None, state: Path | None, **options: Any) -> Any:
        from kbd.daemon.config import locate

        return command(Place(*locate(spool, state)), *args, **options)

    return placed
