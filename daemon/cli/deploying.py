"""What `kbd init` writes beside the spool, and what it tells people to do next."""

import os
import pwd
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.place import Place
from kbd.inbox.spool import Spool

SYSTEM_STATE: Final = Path("/var/lib/kbd")


@dataclass(frozen=True, slots=True)
class Deployed:
    """The files, and for whom: `user` runs the service of the system; None: one's own service."""

    config: Path
    unit: Path
    user: str | None


def plan(spool: Path | None, state: Path | None, config: Path | None, *, system: bool) -> Place:
    """The places to be made. The file of settings need not be there; where it is, it counts."""
    from kbd.daemon.config import locate
    from kbd.daemon.configuration.table import CONFIG_VARIABLE

    written = _config_path(config, system=system)
    unnamed = {name: value for name, value in os.environ.items() if name != CONFIG_VARIABLE}
    found = locate(spool, state, unnamed, written if written is not None and written.is_file() else None)
    if system and not found.spool_named:
        raise click.UsageError("a service of the system needs a spool of its own: kbd init --system SPOOL")
    if system and state is None and "KBD_STATE" not in os.environ:
        found = found._replace(state=SYSTEM_STATE)
    return Place.at(found, written)


def print_folders(spool: Spool, place: Place) -> None:
    """Where everything is."""
    click.echo(f"spool  {spool.root}")
    click.echo(f"inbox  {spool.inbox}")
    click.echo(f"outbox {spool.outbox}")
    click.echo(f"state  {place.state}")


def deploy(place: Place, user: str | None, *, force: bool) -> Deployed:
    """Write settings and unit. Raises CommandFailed, and OSError."""
    from kbd.daemon.configuration.showing import template
    from kbd.daemon.deployment.unit_file import Service, unit_text

    config = place.config
    if config is None:
        raise CommandFailed(
            "there is no home folder for the settings: name a file with --config, or use --spool-only",
            ExitCode.USAGE,
        )
    unit = config.with_name("kbd.service")
    named_state = place.state if user is not None or _is_named(place) else None
    named_spool = place.spool_root if user is not None or place.spool_named else None
    _write("config", config, template(named_spool, named_state), force=force)
    service = Service(config, (place.spool_root, place.state), user)
    _write("unit  ", unit, unit_text(service), force=force)
    return Deployed(config, unit, user)


def print_next_steps(place: Place, deployed: Deployed | None) -> None:
    """On stderr: what people do now."""
    click.echo(f"\nStart a daemon on it:  kbd run{place.spool_flag}", err=True)
    if deployed is None:
        return
    steps = [*_steps_before(place, deployed.user), _enable(deployed)]
    click.echo("Or as a service:", err=True)
    for step in steps:
        click.echo(f"  {step}", err=True)
    click.echo("Is all well?  kbd doctor", err=True)


def _steps_before(place: Place, user: str | None) -> list[str]:
    if user is None:
        return []
    folders = shlex.join([str(place.spool_root), str(place.state)])
    steps = [f"chown -R {user}: {folders}"]
    try:
        pwd.getpwnam(user)
    except KeyError:
        steps.insert(0, f"useradd --system --home-dir {shlex.quote(str(place.state))} {user}")
    return steps


def _enable(deployed: Deployed) -> str:
    manager = "systemctl" if deployed.user is not None else "systemctl --user"
    return f"{manager} enable --now {shlex.quote(str(deployed.unit))}"


def _config_path(config: Path | None, *, system: bool) -> Path | None:
    from kbd.daemon.configuration.file import SYSTEM_FILE, user_file
    from kbd.daemon.configuration.table import CONFIG_VARIABLE

    if config is not None:
        return config.absolute()
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named).expanduser().absolute()
    return SYSTEM_FILE if system else user_file(os.environ)


def _is_named(place: Place) -> bool:
    from kbd.daemon.config import default_state_dir

    return place.state != default_state_dir().absolute()


def _write(what: str, path: Path, text: str, *, force: bool) -> None:
    from kbd.daemon.deployment.written import write_new

    click.echo(f"{what} {path}")
    if not write_new(path, text, force=force):
        click.echo(f"{path} was there and is kept; --force writes it anew", err=True)
