"""A page of memory on which judge and runner call each other without going to sleep.

::

    JUDGE  ring: burst, then go ──► RUNNER (spins, runs the burst)
           ◄── claimed, then done ──

A frame on a socket costs two wake-ups of a tenth of a millisecond each, and they vary by as much; a word that
the other side is watching arrives within a microsecond. Only timing uses this: everything else is a frame. A
runner can write whatever it likes here, and gains nothing: `done` must repeat a number it has not seen before,
and what was computed by then is compared.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from typing import Final

from kbd.daemon.executor.channel import PeerSilent
from kbd.daemon.executor.shared_memory import SEALS

PAGE_BYTES: Final = 4096
_GO, _BURST, _DONE, _CLAIMED_NS, _LISTENING = range(5)
_KEEP: Final = 1 << 32
STOP: Final = (1 << 32) - 1

CHECKS_AT_ONCE: Final = 256
SPIN_S: Final = 0.002
NAP_S: Final = 0.000_05
PATIENT_S: Final = 0.05
PATIENT_NAP_S: Final = 0.000_2
LONGEST_CLAIM_NS: Final = 1 << 53


class Doorbell:
    """Either end. Words are 64 bits wide, aligned, and written by one side only."""

    def __init__(self, descriptor: int) -> None:
        self._words = memoryview(mmap.mmap(descriptor, PAGE_BYTES)).cast("Q")
        self._seen = 0

    # --- the judge's end ----------------------------------------------------------------------------

    @property
    def listening(self) -> bool:
        """Whether the runner is watching."""
        return self._words[_LISTENING] == 1

    def ring(self, nonce: int, burst: int, *, keep: bool = False) -> None:
        """Start burst number `burst`; `keep`: what all its launches return is kept until the next one."""
        self._words[_BURST] = burst | (_KEEP if keep else 0)
        self._words[_GO] = nonce

    def done(self, nonce: int) -> bool:
        """Look again and again for a moment; whether the burst is over."""
        words = self._words
        for _ in range(CHECKS_AT_ONCE):  # noqa: SIM110 - a generator would double the time of a look
            if words[_DONE] == nonce:
                return True
        return False

    @property
    def claimed_us(self) -> float:
        """What the runner's own clock says of the burst."""
        return min(self._words[_CLAIMED_NS], LONGEST_CLAIM_NS) / 1e3

    # --- the runner's end ---------------------------------------------------------------------------

    def listen(self) -> None:
        """Say that from here on every ring is heard."""
        self._seen = self._words[_GO]
        self._words[_LISTENING] = 1

    def wait(self, idle_s: float) -> tuple[int, bool]:
        """The next burst and whether to keep what it returns. Raises PeerSilent when nobody rings for so long."""
        words, started = self._words, time.monotonic()
        while words[_GO] == self._seen:
            waited_s = time.monotonic() - started
            if waited_s > idle_s:
                raise PeerSilent(f"nobody rang for {idle_s:g} s")
            if waited_s > SPIN_S:
                time.sleep(NAP_S)
        self._seen = words[_GO]
        return words[_BURST] & (_KEEP - 1), bool(words[_BURST] & _KEEP)

    def answer(self, claimed_ns: int) -> None:
        """The burst that was asked for last is over."""
        self._words[_CLAIMED_NS] = claimed_ns
        self._words[_DONE] = self._seen


def make_page() -> int:
    """A descriptor of a zeroed page, which nobody can shrink under the judge's feet. Raises OSError."""
    descriptor = os.memfd_create("kbd-doorbell", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, PAGE_BYTES)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
