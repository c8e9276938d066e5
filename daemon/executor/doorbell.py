"""A page of memory on which judge and runner call each other.

::

    JUDGE  ring: burst, then go ──► RUNNER (waits, runs the burst)
           ◄── claimed, then done ──

A frame on a socket is written, read and checked on either side, and each wakes the other up: two tenths of a
millisecond, which vary by as much. A word that the other side is watching arrives within a microsecond; so it is
where kernels run on a device. Where they run on the host, watching would take a core from them: either side sleeps
until a byte from the other rouses it, which takes some 20 microseconds for both. These bytes say nothing: each side
has an end of its own, whose state the other cannot change, and what the page says is what counts.

Only timing uses this: everything else is a frame. A runner can write whatever it likes here, and gains nothing:
`done` must repeat a number it has not seen before, and what was computed by then is compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import select
import socket
import time
from array import array
from collections.abc import Collection
from typing import Final

from kbd.daemon.executor.channel import PeerSilent
from kbd.daemon.executor.shared_memory import SEALS

PAGE_BYTES: Final = 4096
_GO, _BURST, _DONE, _CLAIMED_NS, _LISTENING, _VIEWS, _UNFIT = range(7)
WORD_BITS: Final = 64
UNFIT_WORDS: Final = 64
MOST_UNFIT: Final = UNFIT_WORDS * WORD_BITS
"""Sets of which it can be told that what a launch on them returned did not fit."""
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

    `waker`: this side's end of what rouses the other, which it closes; None where both watch the page.
    """

    def __init__(self, page: int, waker: int | None = None) -> None:
        self._words = memoryview(mmap.mmap(page, PAGE_BYTES)).cast("Q")
        self._seen = 0
        self._told_unfit = False
        self._waker = waker
        self._asleep = select.poll()
        if waker is not None:
            self._asleep.register(waker, select.POLLIN)

    def close(self) -> None:
        """No more is rung or heard."""
        if self._waker is not None:
            os.close(self._waker)
            self._waker = None

    # --- the judge's end ----------------------------------------------------------------------------

    @property
    def listening(self) -> bool:
        """Whether the runner is watching."""
        return self._words[_LISTENING] == 1

    def ring(self, nonce: int, burst: int, *, keep: bool = False) -> None:
        """Start burst number `burst`; `keep`: what all its launches return is kept until the next one."""
        self._words[_BURST] = burst | (_KEEP if keep else 0)
        self._words[_GO] = nonce
        self._rouse()

    def done(self, nonce: int) -> bool:
        """Look again and again for a moment, or sleep for one; whether the burst is over."""
        words = self._words
        if self._waker is not None:
            if words[_DONE] != nonce:
                self._sleep(self._waker, SLEEP_S)
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
        words = enumerate(self._words[_UNFIT : _UNFIT + UNFIT_WORDS])
        return frozenset(
            number * WORD_BITS + bit
            for number, word in words
            if word
            for bit in range(WORD_BITS)
            if word >> bit & 1
        )

    @property
    def views(self) -> bool:
        """Whether memory that is not each output's own was returned in a burst that was kept."""
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
            if self._waker is not None:
                self._sleep(self._waker, idle_s - waited_s)
            elif waited_s > SPIN_S:
                time.sleep(NAP_S)
        self._seen = words[_GO]
        return words[_BURST] & (_KEEP - 1), bool(words[_BURST] & _KEEP)

    def answer(self, claimed_ns: int, unfit: Collection[int] = (), *, views: bool = False) -> None:
        """The burst that was asked for last is over. Of the sets, the first MOST_UNFIT can be told of."""
        self._words[_CLAIMED_NS] = claimed_ns
        if unfit or self._told_unfit:  # most bursts have nothing to tell: no time is lost with it
            self._tell_unfit(unfit)
        self._words[_VIEWS] = views
        self._words[_DONE] = self._seen
        self._rouse()

    def _tell_unfit(self, unfit: Collection[int]) -> None:
        told = array("Q", [0] * UNFIT_WORDS)
        for place in unfit:
            if place < MOST_UNFIT:
                told[place // WORD_BITS] |= 1 << place % WORD_BITS
        self._words[_UNFIT : _UNFIT + UNFIT_WORDS] = memoryview(told)
        self._told_unfit = bool(unfit)

    def _rouse(self) -> None:
        """One that is full or closed at the other end rouses nobody: whoever waits looks again by itself."""
        if self._waker is not None:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                os.write(self._waker, b"!")

    def _sleep(self, waker: int, seconds: float) -> None:
        """Until somebody rouses us, or the time is over; nothing here waits for longer."""
        if not self._asleep.poll(max(seconds, 0.0) * 1e3):
            return
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if os.read(waker, PAGE_BYTES):
                return
        time.sleep(NAP_S)  # closed at the other end: it would be ready for ever


def make_wakers() -> tuple[int, int]:
    """One end for each side; neither ever blocks. Raises OSError."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.setblocking(False)
    mine, theirs = (end.detach() for end in ends)
    return mine, theirs


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
