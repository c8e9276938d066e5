"""Where a command works: which spool, and which state folder."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from kbd.inbox.spool import Spool, SpoolMissing

if TYPE_CHECKING:
    from kbd.daemon.config import Located, Settings


@dataclass(frozen=True, slots=True)
class Place:
    """The folders a command was pointed at, by flag, environment, file or default, in this order.

    Attributes:
        spool_named: somebody chose the spool, so kbd must not create it unasked.
        flags: the folders that were chosen on the command line, by name.
        config: the file of settings that was chosen there.
        database: where history is, `sqlite` for the file in the state folder.
    """

    spool_root: Path
    state: Path
    spool_named: bool
    flags: Mapping[str, Path | None] = field(default_factory=dict)
    config: Path | None = None
    database: str = "sqlite"

    @classmethod
    def at(
        cls, found: "Located", config: Path | None, flags: Mapping[str, Path | None] | None = None
    ) -> Self:
        """What was looked up for this file of settings."""
        return cls(found.spool, found.state, found.spool_named, flags or {}, config, found.database)

    @property
    def spool_flag(self) -> str:
        """What a command that people are told to type needs to mean this spool: ` --spool …`, or nothing."""
        return f" --spool {shlex.quote(str(self.spool_root))}" if self.spool_named else ""

    def spool(self) -> Spool:
        """The spool, which must be there. Raises SpoolMissing, and SpoolSilent where its server hangs."""
        from kbd.daemon.patience import open_spool

        try:
            return open_spool(self.spool_root)
        except SpoolMissing as error:
            if self.spool_named or self.spool_root.exists():
                raise
            raise SpoolMissing(
                f"there is no spool at {self.spool_root} yet. `kbd init` makes it, `kbd run` also starts a daemon "
                "on it. If yours is elsewhere, name it with --spool or KBD_SPOOL"
            ) from error

    def settings(self, flags: Mapping[str, Any] | None = None) -> "Settings":
        """All settings of a daemon here; `flags`: more that the command line said, by key. Raises ConfigError."""
        from kbd.daemon.config import resolve

        return resolve(config=self.config, flags={**self.flags, **(flags or {})})


class _Folder(click.Path):
    """The path of a folder, completed like one, that is not looked at: its file server may hang."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        del param, ctx
        return Path(value)


def folder_option(*flags: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: A002
    """An option that names a folder."""
    return click.option(*flags, type=_Folder(file_okay=False), metavar="DIR", help=help)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --spool, --state and --config, and their meaning as its first argument, a Place."""

    @folder_option(
        "--spool", help="The spool: where jobs and results lie. Default: $KBD_SPOOL, else a user folder."
    )
    @folder_option(
        "--state", help="The daemon's database, logs and lock. Default: $KBD_STATE, else a user folder."
    )
    @click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The file of settings. Default: $KBD_CONFIG, else what `kbd config path` says.",
    )
    @wraps(command)
    def placed(
        *args: Any, spool: Path | None, state: Path | None, config: Path | None, **options: Any
    ) -> Any:
        from kbd.daemon.config import locate

        flags, found = {"spool": spool, "state": state}, locate(spool, state, config=config)
        return command(Place.at(found, config, flags), *args, **options)

    return placed
