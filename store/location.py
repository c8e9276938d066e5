"""Where the database of a state folder lies. The folder must be on a local disk, never on the network.

```
kbd.db                        the database; `-wal` and `-shm` lie beside it while it is open
kbd.db.REVISION.TIME.backup   what there was before an upgrade
kbd.db.TIME.aside             what could not be used any more, kept by `kbd doctor --rebuild`
.kbd-state                    a database was made here: where there is none, it is gone, and not just to be made
```
"""

import os
import time
from pathlib import Path
from typing import Final

from kbd.store.errors import StoreGone

SQLITE: Final = "sqlite"
"""In place of an URL: the file in the state folder."""

REBUILD: Final = "kbd doctor --rebuild"
"""The way out of a database that cannot be used any more."""

_MADE_TEXT: Final = (
    "A database was made here. Where there is none beside this file, kbd takes it for deleted.\n"
)


def database_path(state_dir: Path) -> Path:
    """The SQLite file."""
    return state_dir / "kbd.db"


def made_path(state_dir: Path) -> Path:
    """The file that says that there was a database."""
    return state_dir / ".kbd-state"


def require_not_gone(state_dir: Path) -> None:
    """Raise StoreGone where a database was made and is not there any more."""
    path, made = database_path(state_dir), made_path(state_dir)
    if made.exists() and not path.exists():
        raise StoreGone(
            f"{path} is gone: expected the database that was made there. Put a copy of it back, or have "
            f"`{REBUILD}` make one from the results and manifests in the spool. To begin without history, "
            f"remove {made}."
        )


def note_made(state_dir: Path) -> None:
    """Remember that there is a database now."""
    if not made_path(state_dir).exists():
        made_path(state_dir).write_text(_MADE_TEXT)


def set_aside(state_dir: Path) -> Path:
    """Rename a database that nobody has open, with what belongs to it. Returns where it lies now."""
    path = database_path(state_dir)
    aside = _free_name(f"{path}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    # The file itself comes last: a new one beside the WAL of the old one would be taken for its owner.
    for ending in ("-wal", "-shm", ""):
        if (part := Path(f"{path}{ending}")).exists():
            part.rename(f"{aside}{ending}")
    fsync_name(aside)
    return aside


def fsync_name(path: Path) -> None:
    """Make the name of a file durable."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_name(stem: str) -> Path:
    number = 1
    while (path := Path(f"{stem}{'' if number == 1 else f'-{number}'}.aside")).exists():
        number += 1
    return path
