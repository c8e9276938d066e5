"""Where the database of a state folder lies. The folder must be on a local disk, never on the network."""

from pathlib import Path


def database_path(state_dir: Path) -> Path:
    """The SQLite file; its `-wal` and `-shm` lie beside it while it is open."""
    return state_dir / "kbd.db"
