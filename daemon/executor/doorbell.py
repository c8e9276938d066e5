"""A page of memory on which judge and runner call each other.

::

    JUDGE  ring: burst, then go ──► RUNNER (waits, runs the burst)
           ◄── claimed, then done ──

A frame on a socket is written, read and checked on either side, and each wakes the other up: two tenths of a
millisecond, which vary by as much. A word that the other side is watching arrives within a microsecond; so it is
where kernels run on a device. Where they run on the host, watching would take a core from them: either side sleeps
until the other's waker (an eventfd) rouses it, which takes some 20 microseconds for both.

Only timing uses this: everything else is a frame. A runner can write whatever it likes here, and gains nothing:
`done` must repeat a number it has not seen before, and what was computed by then is compared.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import time
from collections.abc import Collection, Sequence
from typing import Final

from kbd.daemon.executor.channel import PeerSilent
from kbd.daemon.executor.shared_memory import SEALS

PAGE_BYTES: Final = 4096
_GO, _BURST, _DONE, _CLAIMED_NS, _LISTENING, _UNFIT, _VIEWS = range(7)
WORD_BITS: Final = 64
_KEEP: Final = 1 << 32
STOP: Final = (1 << 32) - 1

CHECKS_AT_ONCE: Final = 256
SLEEP_S: Final = 0.02
SPIN_S: Final = 0.002
NAP_S: Final = 0.000_05
PATIENT_S: Final = 0.05
PATIENT_NAP_S: Final = 0.000_2
LONGEST_CLAIM_NS: Final = 1 << 53


class Doorbell:
    """Either end. Words are 64 bits wide, aligned, and written by one side only.

    `wakers` are none, or two eventfds, for go and for done, which it closes.
    """

    def __init__(self, page: int, wakers: Sequence[int] = ()) -> None:
        self._words = memoryview(mmap.mmap(page, PAGE_BYTES)).cast("Q")
        self._seen = 0
        self._go: int | None = None
        self._done: int | None = None
        if wakers:
            self._go, self._done = wakers
        self._asleep = select.poll()

    def close(self) -> None:
        """No more is rung or heard."""
        for waker in (self._go, self._done):
            if waker is not None:
                os.close(waker)
        self._go = self._done = None

    # --- the judge's end ----------------------------------------------------------------------------

    @property
    def listening(self) -> bool:
        """Whether the runner is watching."""
        return self._words[_LISTENING] == 1

    def ring(self, nonce: int, burst: int, *, keep: bool = False) -> None:
        """Start burst number `burst`; `keep`: what all its launches return is kept until the next one."""
        self._words[_BURST] = burst | (_KEEP if keep else 0)
        self._words[_GO] = nonce
        _wake(self._go)

    def done(self, nonce: int) -> bool:
        """Look again and again for a moment, or sleep for one; whether the burst is over."""
        words = self._words
        if self._done is not None:
            if words[_DONE] != nonce:
                self._sleep_until(self._done, SLEEP_S)
            return words[_DONE] == nonce
        for _ in range(CHECKS_AT_ONCE):  # noqa: SIM110 - a generator would double the time of a look
            if words[_DONE] == nonce:
                return True
        return False

    @property
    def claimed_us(self) -> float:
        """What the runner's own clock says of the burst."""
        return min(self._words[_CLAIMED_NS], LONGEST_CLAIM_NS) / 1e3

    @property
    def unfit(self) -> frozenset[int]:
        """Sets on which a burst that was kept returned other tensors than there is room for."""
        word = self._words[_UNFIT]
        return frozenset(place for place in range(WORD_BITS) if word >> place & 1)

    @property
    def views(self) -> bool:
        """Whether memory of its inputs was returned in a burst that was kept."""
        return self._words[_VIEWS] != 0

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
            if self._go is not None:
                self._sleep_until(self._go, idle_s - waited_s)
            elif waited_s > SPIN_S:
                time.sleep(NAP_S)
        self._seen = words[_GO]
        return words[_BURST] & (_KEEP - 1), bool(words[_BURST] & _KEEP)

    def answer(self, claimed_ns: int, unfit: Collection[int] = (), *, views: bool = False) -> None:
        """The burst that was asked for last is over. Of the sets, the first WORD_BITS can be told of."""
        self._words[_CLAIMED_NS] = claimed_ns
        self._words[_UNFIT] = sum({1 << place for place in unfit if place < WORD_BITS})
        self._words[_VIEWS] = views
        self._words[_DONE] = self._seen
        _wake(self._done)

    def _sleep_until(self, waker: int, seconds: float) -> None:
        """Until it is rung, or the time is over; whatever was rung until then is heard."""
        self._asleep.register(waker, select.POLLIN)
        if self._asleep.poll(max(seconds, 0.0) * 1e3):
            os.eventfd_read(waker)


def _wake(waker: int | None) -> None:
    if waker is not None:
        os.eventfd_write(waker, 1)


def make_wakers() -> tuple[int, int]:
    """Two eventfds, for go and for done. Raises OSError."""
    go = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        return go, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    except OSError:
        os.close(go)
        raise


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
