"""One daemon per CUDA device on this host, whoever runs it: an flock that the kernel gives back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from kbd.daemon.devices import NoDevice


class DeviceTaken(NoDevice):
    """Another daemon of this host holds the device."""


class DeviceLock:
    """Holds `kbd-device-UUID.lock` in the system's temporary folder, which all users share."""

    def __init__(self, uuid: str, folder: Path | None = None) -> None:
        folder = folder or Path(tempfile.gettempdir())
        self._uuid = uuid
        self._lock = FileLock(folder / f"kbd-device-{uuid}.lock", timeout=0, mode=0o666)

    def acquire(self) -> None:
        """Take it, or raise DeviceTaken."""
        try:
            self._lock.acquire()
        except (Timeout, PermissionError):
            raise DeviceTaken(
                f"device {self._uuid} is in use by another kbd daemon of this host; "
                "give each daemon its own devices with CUDA_VISIBLE_DEVICES"
            ) from None

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()
