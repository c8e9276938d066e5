"""One daemon per CUDA device on this host, whoever runs it: an flock that the kernel gives back.

The lock files lie in /tmp, whatever TMPDIR says, because daemons of different users must meet there. A file is left
behind by whoever made it, so it may belong to anybody: it is opened without O_CREAT where it exists (the kernel
refuses that for another user's file in a sticky folder), it is never followed, and what it says is only told.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import stat
from pathlib import Path
from typing import Any

from kbd.daemon.cli.printable import one_line
from kbd.daemon.devices import NoDevice

LOCK_FOLDER = Path("/tmp")  # noqa: S108 - shared on purpose
ABOUT_LIMIT_BYTES = 4096


class DeviceTaken(NoDevice):
    """Another daemon of this host holds the device."""


class DeviceLock:
    """Holds `/tmp/kbd-device-UUID.lock`, which says who holds it."""

    def __init__(self, uuid: str, folder: Path = LOCK_FOLDER) -> None:
        self._uuid = uuid
        self._path = folder / f"kbd-device-{uuid.replace('/', '-')}.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take it, or raise DeviceTaken naming who has it."""
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise DeviceTaken(
                f"device {self._uuid} is in use by another kbd daemon of this host ({holder}); "
                "give each daemon its own devices with CUDA_VISIBLE_DEVICES"
            ) from None
        _tell(descriptor, {"pid": os.getpid(), "user": _user()})
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it. The file stays: removing it would let two daemons lock two files."""
        if self._descriptor is not None:
            _tell(self._descriptor, {})
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        while True:
            try:
                descriptor = _opened(self._path)
            except FileNotFoundError:
                descriptor = None
            except OSError as error:
                raise self._unusable(str(error)) from None
            try:
                return _made(self._path) if descriptor is None else self._checked(descriptor)
            except FileExistsError:  # another daemon was faster
                continue
            except OSError as error:
                raise self._unusable(str(error)) from None

    def _checked(self, descriptor: int) -> int:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._unusable("it is no regular file")
        return descriptor

    def _unusable(self, reason: str) -> DeviceTaken:
        return DeviceTaken(f"device {self._uuid} cannot be locked with {self._path}: {reason}; remove it")


_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | _SAFELY)
    except PermissionError:
        return os.open(path, os.O_RDONLY | _SAFELY)  # enough for the lock, not for saying who holds it


def _made(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666)
    os.fchmod(descriptor, 0o666)  # whatever the umask is: other users must be able to say who they are
    return descriptor


def _tell(descriptor: int, about: dict[str, Any]) -> None:
    """Best effort: the file may be another user's and not ours to write, and the lock holds all the same."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(about).encode(), 0)


def _holder(descriptor: int) -> str:
    """Who the file says it is; anybody may have written it."""
    try:
        about = json.loads(os.pread(descriptor, ABOUT_LIMIT_BYTES, 0))
        return one_line(f"process id {about['pid']}, user {about['user']}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "it does not say which"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name
        return str(os.getuid())
