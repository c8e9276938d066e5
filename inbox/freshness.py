"""Asking the file system anew what it knows of a file.

The size and the times of a file on a network file system may be remembered for seconds: after another host has
replaced or extended it, `fstat` still tells the old size, and a read ends there, in the middle of the text. NFS
asks its server when a file is opened; others (FUSE among them) do not. statx(2) can insist.
"""

import ctypes
import os
from typing import Final

_AT_FDCWD: Final = -100
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_AT_EMPTY_PATH: Final = 0x1000
_AT_STATX_FORCE_SYNC: Final = 0x2000
_BASIC_STATS: Final = 0x7FF
_STATX_BYTES: Final = 256

_statx = getattr(ctypes.CDLL(None), "statx", None)


def refresh(what: int | str | os.PathLike[str]) -> None:
    """Have the next `fstat`, `lstat` or `read` of this descriptor or path tell what is so now.

    Never fails: where that cannot be asked for, the calls that follow tell what they can.
    """
    if _statx is None:
        return
    answer = ctypes.create_string_buffer(_STATX_BYTES)
    if isinstance(what, int):
        _statx(what, b"", _AT_EMPTY_PATH | _AT_STATX_FORCE_SYNC, _BASIC_STATS, answer)
    else:
        flags = _AT_SYMLINK_NOFOLLOW | _AT_STATX_FORCE_SYNC
        _statx(_AT_FDCWD, os.fsencode(what), flags, _BASIC_STATS, answer)
