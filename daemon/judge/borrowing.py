"""Device memory of a runner's that the judge opens by handle, to read what was left there without asking.

The runner does not learn of it. What it frees, or leaves behind when it dies, stays readable until the judge lets
go.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kbd.daemon.executor.shared_memory import SharingFailed, close_handle, open_handle


class Borrower:
    """Opens handles of one runner's, and closes them."""

    def __init__(self) -> None:
        self._opened: list[torch.Tensor] = []

    def borrow(self, handles: Sequence[str]) -> list[torch.Tensor] | None:
        """The bytes of each allocation; None where one cannot be opened, whatever the runner's reason."""
        self.give_back()
        try:
            for handle in handles:
                self._opened.append(open_handle(handle))
        except (SharingFailed, ValueError):  # ValueError: no base64, or not as long as a handle is
            self.give_back()
            return None
        return list(self._opened)

    def give_back(self) -> None:
        """Let go of all that was borrowed; nobody may look at it any more."""
        while self._opened:
            close_handle(self._opened.pop())
