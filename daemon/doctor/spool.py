"""The spool: is it there, may it be used, whose clock does it have, what lies in quarantine."""

from __future__ import annotations

import os
import secrets
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from kbd.daemon.doctor.check import Check, Patient, fail, ok, warn
from kbd.inbox.spool import Spool, SpoolMissing

CLOCK_OFFSET_S: Final = 2.0
SHOWN_NAMES: Final = 3
_REASON: Final = ".reason.json"


def presence(patient: Patient) -> Iterator[Check]:
    """The sentinel, and every folder."""
    spool = Spool(patient.settings.spool)
    init = f"kbd init --spool {shlex.quote(str(spool.root))}"
    try:
        spool.require()
    except SpoolMissing as error:
        yield fail(
            "spool", str(error).split(". Mount")[0], f"mount the file system that holds it, or: {init}"
        )
        return
    except OSError as error:
        yield fail("spool", f"{spool.root}: {error.strerror}", "see the permissions of the folders above it")
        return
    missing = [folder.name for folder in spool.folders if not folder.is_dir()]
    if missing:
        yield fail("spool", f"{spool.root} lacks {', '.join(missing)}", init)
    else:
        yield ok("spool", str(spool.root))


def permissions(patient: Patient) -> Iterator[Check]:
    """What the daemon's user must be able to do, and what others must not. For the user who asks."""
    spool, settings = Spool(patient.settings.spool), patient.settings
    if not spool.root.is_dir():
        return
    wanted = [folder for folder in (*spool.folders, settings.state) if folder.is_dir()]
    denied = [str(folder) for folder in wanted if not os.access(folder, os.R_OK | os.W_OK | os.X_OK)]
    if denied:
        yield fail(
            "permissions",
            f"this user (uid {os.geteuid()}) may not read and write {', '.join(denied)}",
            f"as the folders' owner: chown -R or chmod u+rwx {shlex.join(denied)}; or look as the daemon's user",
        )
    private = (settings.state, settings.compilers.cache, *_config_file(patient))
    exposed = [str(path) for path in private if _writable_by_all(path)]
    if exposed:
        yield fail(
            "permissions",
            f"everybody may write {', '.join(exposed)}: whoever does decides what the daemon runs and remembers",
            f"chmod o-w {shlex.join(exposed)}",
        )
    if _writable_by_all(spool.control):
        yield warn(
            "permissions",
            f"everybody may write {spool.control}, and so cancel everybody's jobs",
            f"chmod o-w {shlex.quote(str(spool.control))}, if that is not what you want",
        )
    elif not denied and not exposed:
        yield ok("permissions", "spool and state folder are readable and writable here")


def clock(patient: Patient, now: Callable[[], float] = time.time) -> Iterator[Check]:
    """A file that the file server dates just now, beside our own clock. kbd relies on no clock; people do."""
    folder = Spool(patient.settings.spool).outbox_tmp
    probe = folder / f".doctor-{secrets.token_hex(8)}.tmp"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # what may not be written is told by others
    try:
        before = now()
        os.write(descriptor, b"what time is it?")
        os.fsync(descriptor)
        after = now()
        dated = os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)
    offset = dated - min(max(dated, before), after)
    if abs(offset) > CLOCK_OFFSET_S:
        yield warn(
            "clock",
            f"the spool's file server is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} this host",
            "set both clocks by NTP (chronyc tracking, timedatectl); times of files and results cannot be compared",
        )
    else:
        yield ok("clock", "that of the spool's file server agrees with this host's")


def quarantine(patient: Patient) -> Iterator[Check]:
    """Kbd never deletes from there; somebody has to look."""
    folder = Spool(patient.settings.spool).quarantine
    if not folder.is_dir():
        return
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.endswith(_REASON))
    if not names:
        yield ok("quarantine", "empty")
        return
    shown = ", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")
    yield warn(
        "quarantine",
        f"{len(names)} deliveries could not be jobs: {shown}",
        "see: kbd quarantine ls; what was wrong: kbd quarantine show NAME; correct it there and put it back: "
        "kbd quarantine release NAME --id NEW; or throw it away: kbd quarantine rm NAME",
    )


def _config_file(patient: Patient) -> tuple[Path, ...]:
    origin = patient.settings.origin
    return (origin.file,) if origin is not None and origin.file is not None else ()


def _writable_by_all(path: Path) -> bool:
    """The sticky bit keeps files of others from being replaced, not new ones from being added: it counts not."""
    try:
        return bool(path.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False
