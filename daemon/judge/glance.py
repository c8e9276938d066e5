"""A glance at what launches left, in the moment in which their runner says that they are done.

A runner that says so while its kernels are still at work would be paid for time that it has not taken yet, and its
outputs would be complete when they are compared. So parts of them, at random places, are fetched at once by the
device's copy engine, which waits for no other process's kernels, and must be the same afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import torch

from kbd.daemon.executor.shared_memory import fetch_to_host

WINDOW_BYTES: Final = 4096


class Glance:
    """Looks at one random part of each of at most `most` tensors of this device."""

    def __init__(self, device: torch.device, most: int) -> None:
        self._on_device = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._on_device else None  # type: ignore[no-untyped-call]
        self._room = torch.empty((most, WINDOW_BYTES), dtype=torch.uint8, pin_memory=self._on_device)
        self._windows: list[torch.Tensor] = []
        self._copies: list[tuple[int, int, int]] = []
        self._looked = False

    def choose(self, tensors: Sequence[torch.Tensor], secret: random.Random) -> None:
        """These will be looked at, in this order."""
        windows = [_window(tensor, secret) for tensor in tensors if tensor.numel()]
        self._windows = windows[: len(self._room)]
        rooms = zip(self._room, self._windows, strict=False)
        self._copies = [(room.data_ptr(), window.data_ptr(), window.numel()) for room, window in rooms]
        self._looked = False

    def take(self) -> None:
        """Look; to be called without delay. Raises SharingFailed."""
        if self._stream is not None:
            fetch_to_host(self._copies, self._stream.cuda_stream)
        else:
            for room, window in zip(self._room, self._windows, strict=False):
                room[: window.numel()].copy_(window)
        self._looked = True

    def changed(self) -> int:
        """How many of the parts are no longer what they were; 0 where nothing was looked at."""
        if not self._looked:
            return 0
        pairs = zip(self._room, self._windows, strict=False)
        return sum(not torch.equal(room[: window.numel()], window.cpu()) for room, window in pairs)


def _window(tensor: torch.Tensor, secret: random.Random) -> torch.Tensor:
    """Some bytes of the memory in which a tensor lies."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    elements = 1 + sum((size - 1) * stride for size, stride in steps)
    wanted = min(max(WINDOW_BYTES // tensor.itemsize, 1), elements)
    first = min(
        max(secret.randrange(1 - wanted, elements), 0), elements - wanted
    )  # the ends as often as others
    return tensor.as_strided((wanted,), (1,), int(tensor.storage_offset()) + first).view(torch.uint8)
