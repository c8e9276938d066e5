"""Files that people edit: written once, and not again unless they say so."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_new(path: Path, text: str, *, force: bool) -> bool:
    """Write a file whole or not at all. False: there is one already, and it was kept. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    temporary.write_text(text)
    try:
        if force:
            temporary.replace(path)
            return True
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True
