"""The doorbell between two real processes."""

import contextlib
import mmap
import os

import pytest

from kbd.daemon.executor.channel import PeerSilent
from kbd.daemon.executor.doorbell import MOST_UNFIT, PAGE_BYTES, STOP, Doorbell, make_page, make_wakers
from kbd.daemon.judge.stocking import MOST_SETS

PATIENT_S = 60.0


@pytest.fixture
def page():
    descriptor = make_page()
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["watching", "asleep"])
def wakers(request):
    """The judge's end, and the runner's."""
    return (None, None) if request.param == "watching" else make_wakers()


@pytest.fixture
def runner(page, wakers):
    """A forked process that answers every ring with 10 * burst + keep nanoseconds, until it hears STOP."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            bell = Doorbell(page, wakers[1])
            bell.listen()
            while (heard := bell.wait(PATIENT_S))[0] != STOP:
                burst, keep = heard
                bell.answer(10 * burst + keep, {burst, burst + 1}, views=keep)
            status = 0
        finally:
            os._exit(status)
    bell = Doorbell(page, wakers[0])
    while not bell.listening:
        os.sched_yield()
    yield bell, pid
    bell.ring((1 << 47) - 1, STOP)
    os.waitpid(pid, 0)


def ring(bell, nonce, burst, **options):
    bell.ring(nonce, burst, **options)
    while not bell.done(nonce):
        os.sched_yield()
    return round(bell.claimed_us * 1e3)


def test_every_ring_is_answered_once_and_told_apart(runner):
    bell, _ = runner
    found = [ring(bell, 1000 + number, number, keep=number % 2 == 1) for number in range(200)]
    assert found == [10 * number + number % 2 for number in range(200)]


def test_an_answer_to_another_ring_is_none(runner):
    bell, _ = runner
    ring(bell, 77, 3)
    assert bell.done(77)
    assert not bell.done(78)


def test_what_a_burst_that_was_kept_has_shown(runner):
    bell, _ = runner
    ring(bell, 77, 3, keep=True)
    assert (bell.unfit, bell.views) == ({3, 4}, True)
    ring(bell, 78, 63)
    assert (bell.unfit, bell.views) == ({63, 64}, False)
    ring(bell, 79, MOST_UNFIT - 1)
    assert bell.unfit == {MOST_UNFIT - 1}


def test_stop_ends_it(page, wakers):
    pid = os.fork()
    if pid == 0:
        bell = Doorbell(page, wakers[1])
        bell.listen()
        os._exit(7 if bell.wait(PATIENT_S)[0] == STOP else 1)
    bell = Doorbell(page, wakers[0])
    while not bell.listening:
        os.sched_yield()
    bell.ring(5, STOP)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_nobody_is_listening_until_somebody_is(page, wakers):
    bell = Doorbell(page, wakers[0])
    assert not bell.listening
    bell.ring(9, 1)
    assert not bell.done(9)


def test_a_ring_from_before_is_not_heard(page, wakers):
    judge, runner = map(Doorbell, (page, page), wakers)
    judge.ring(9, 1)
    runner.listen()
    with pytest.raises(PeerSilent):
        runner.wait(0.01)


def test_a_runner_that_nobody_rings_gives_up(page, wakers):
    bell = Doorbell(page, wakers[0])
    bell.listen()
    with pytest.raises(PeerSilent, match="nobody rang"):
        bell.wait(0.02)


def test_a_claim_is_bounded(page):
    judge, runner = Doorbell(page), Doorbell(page)
    runner.answer((1 << 64) - 1)
    assert judge.claimed_us <= 2**53 / 1e3


def flood(end):
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(end, b"x" * 4096)
    os.set_blocking(end, True)


@pytest.mark.parametrize("spite", [flood, os.close], ids=["floods it", "closes it"])
def test_whatever_a_runner_does_to_its_end_the_judge_neither_fails_nor_waits(page, spite):
    mine, theirs = make_wakers()
    judge = Doorbell(page, mine)
    for number in range(3):
        judge.ring(number + 1, 5)
    spite(theirs)
    judge.ring(9, 5)
    assert not any(judge.done(9) for _ in range(200))
    Doorbell(page).listen()
    Doorbell(page).answer(1)
    judge.ring(10, STOP)
    judge.close()


def test_a_runner_that_never_reads_holds_nobody_up(page):
    mine, _ = make_wakers()
    judge = Doorbell(page, mine)
    for number in range(100_000):
        judge.ring(number + 1, 5)


def test_what_is_closed_is_given_back(page):
    mine, _ = make_wakers()
    Doorbell(page, mine).close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(mine)


def test_every_set_can_be_told_of():
    assert max(MOST_SETS.values()) <= MOST_UNFIT


@pytest.mark.parametrize("nbytes", [0, PAGE_BYTES - 1, 2 * PAGE_BYTES])
def test_a_runner_cannot_change_the_size_of_the_page(page, nbytes):
    with pytest.raises(PermissionError):
        os.ftruncate(page, nbytes)
    assert len(mmap.mmap(page, PAGE_BYTES)) == PAGE_BYTES
