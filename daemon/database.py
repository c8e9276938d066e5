"""The daemon's database: on a local disk, of this version, and whole."""

from __future__ import annotations

from pathlib import Path

import structlog
from sqlalchemy import Engine

from kbd.inbox.mounts import MOUNTINFO, filesystem_of
from kbd.store.engine import migrate, open_writer, quick_check, second_look
from kbd.store.errors import StoreError
from kbd.store.location import SQLITE, note_made, require_not_gone

log = structlog.get_logger(__name__)


def open_database(state: Path, database: str = SQLITE, *, check: bool, new: bool = False) -> Engine:
    """Open and migrate the database of a daemon; `check` it for damage, as after a crash.

    One that was deleted is made anew only where it may be `new`.

    Raises StoreError: on a network file system, deleted, of a newer version, damaged, not to be opened just now.
    """
    require_local_disk(state)
    is_file = database == SQLITE
    if is_file and not new:
        require_not_gone(state)
    engine = open_writer(state, database)
    try:
        with second_look(engine):
            backup = migrate(engine)
            if backup is not None:
                log.info("the database was migrated", action="migrated", backup=backup)
            if check:
                quick_check(engine)
        if is_file:
            note_made(state)
    except BaseException:
        engine.dispose()
        raise
    return engine


def require_local_disk(state: Path, mountinfo: Path = MOUNTINFO) -> None:
    """Raise StoreError where a state folder lies on a network file system: SQLite cannot trust its locks."""
    mount = filesystem_of(state, mountinfo)
    if not mount.is_network:
        return
    if not mount.is_seen_by_others:
        log.warning("is it a local disk?", action="odd_disk", folder=str(state), fs_type=mount.fs_type)
        return
    raise StoreError(
        f"{state} lies on a network file system ({mount.fs_type} of {mount.source} at {mount.mount_point}): "
        "expected a local disk, for the database would be damaged there. Choose another folder with --state "
        "or KBD_STATE; only the spool may be on the network. `kbd doctor --rebuild --state FOLDER` fills a new "
        "one with the history that the spool tells."
    )
