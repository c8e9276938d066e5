"""Signs of life: given while rounds are done or a file system is waited for, and not otherwise."""

import asyncio
import os
import threading

import pytest

from kbd.daemon.clerk import Clerk
from kbd.daemon.operation import heartbeat
from kbd.daemon.operation.notifier import Notifier
from kbd.daemon.operation.pulse import BEAT_S, Pulse
from kbd.daemon.operation.thread_activity import Activity, activity_of

PATIENCE_S = 5.0


@pytest.fixture
def clerk():
    found = Clerk()
    yield found
    found.close()


@pytest.fixture
def thread(clerk, on_loop):
    return on_loop(clerk.do(threading.get_native_id))


@pytest.fixture
def pulse(tmp_path, manager, thread):
    return Pulse(tmp_path, Notifier({"NOTIFY_SOCKET": manager.address}), lambda: None, thread)


def until(thread, activity):
    """The clerk needs a moment to get there; the test's time limit ends a wait for ever."""
    while activity_of(thread) is not activity:
        os.sched_yield()


def test_a_beat_for_every_round(pulse, manager, on_loop, tmp_path):
    pulse.round_done()
    pulse.ready, pulse.status = True, "3 running"
    assert on_loop(pulse.beat())
    assert manager.heard() == ["WATCHDOG=1"]
    found = heartbeat.read(tmp_path)
    assert (found.pid, found.ready, found.status) == (os.getpid(), True, "3 running")
    assert 0 <= found.age_s < 60


def test_who_hears_that_it_is_ready_reads_the_same(pulse, manager, on_loop, tmp_path):
    pulse.round_done()
    on_loop(pulse.beat())
    assert manager.heard() == ["WATCHDOG=1"]
    pulse.round_done()
    pulse.become_ready()
    assert not heartbeat.read(tmp_path).ready
    assert manager.heard() == []
    on_loop(pulse.beat())
    assert heartbeat.read(tmp_path).ready
    assert manager.heard() == ["WATCHDOG=1", "READY=1"]
    pulse.tell_ready()
    assert manager.heard() == [], "once is enough"


def test_being_ready_is_not_told_a_beat_later(pulse, manager, on_loop):
    async def life():
        beats = asyncio.Queue()
        pulse._wake = lambda: beats.put_nowait("beat")
        beating = asyncio.create_task(pulse.run())
        await beats.get()
        pulse.round_done()
        pulse.become_ready()
        await beats.get()
        beating.cancel()

    pulse.interval_s = 3_600.0
    pulse.round_done()
    on_loop(life())
    assert manager.heard() == ["WATCHDOG=1", "WATCHDOG=1", "READY=1"]


@pytest.mark.parametrize("turns", range(4))
def test_it_ends_when_the_daemon_is_ready_and_over_at_once(pulse, on_loop, turns):
    async def life():
        beats = asyncio.Queue()
        pulse._wake = lambda: beats.put_nowait("beat")
        beating = asyncio.create_task(pulse.run())
        await beats.get()
        await asyncio.sleep(0)
        pulse.become_ready()
        for _ in range(turns):
            await asyncio.sleep(0)
        beating.cancel()
        await asyncio.wait([beating], timeout=PATIENCE_S)
        return beating.cancelled()

    pulse.interval_s = 3_600.0
    assert on_loop(life())


def test_a_loop_that_does_no_rounds_is_dead(pulse, manager, on_loop):
    pulse.round_done()
    assert on_loop(pulse.beat())
    assert not on_loop(pulse.beat()), "the clerk waits for work, the loop for ever"
    assert manager.heard() == ["WATCHDOG=1"]
    pulse.round_done()
    assert on_loop(pulse.beat()), "it lives again"


def test_a_clerk_that_waits_for_a_lock_is_dead(pulse, clerk, thread, on_loop):
    lock = threading.Lock()
    lock.acquire()
    pulse.round_done()
    on_loop(pulse.beat())
    clerk._thread.submit(lock.acquire)
    until(thread, Activity.WAITS_FOR_THREAD)
    assert not on_loop(pulse.beat())
    lock.release()


@pytest.mark.fault("the file server hangs")
def test_a_clerk_that_waits_for_files_lives(pulse, clerk, thread, on_loop, tmp_path):
    """Opening a FIFO blocks as a file server that hangs does."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    pulse.round_done()
    on_loop(pulse.beat())
    opened = clerk._thread.submit(os.open, fifo, os.O_RDONLY)
    until(thread, Activity.WAITS_FOR_KERNEL)
    assert on_loop(pulse.beat())
    os.close(os.open(fifo, os.O_WRONLY))
    os.close(opened.result())


def test_a_clerk_that_computes_lives_for_a_while(pulse, clerk, thread, on_loop, monkeypatch):
    stop = []
    pulse.round_done()
    on_loop(pulse.beat())
    clerk._thread.submit(lambda: all(not stop for _ in iter(int, 1)))
    monkeypatch.setattr("kbd.daemon.operation.pulse.activity_of", lambda _: Activity.COMPUTES)
    assert on_loop(pulse.beat())
    monkeypatch.setattr("kbd.daemon.operation.pulse.COMPUTING_LIMIT_S", 0.0)
    assert not on_loop(pulse.beat())
    stop.append(True)


def test_while_it_stops_no_rounds_are_expected(pulse, on_loop):
    pulse.round_done()
    on_loop(pulse.beat())
    pulse.stopping = True
    assert on_loop(pulse.beat())


def test_a_thread_that_is_no_more():
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    until(thread.native_id, Activity.GONE)  # the kernel needs a moment more than join


def test_it_beats_several_times_within_the_watchdog(tmp_path, manager):
    def interval_s(**variables):
        notifier = Notifier({"NOTIFY_SOCKET": manager.address} | variables)
        return Pulse(tmp_path, notifier, lambda: None, 0).interval_s

    assert interval_s() == BEAT_S
    assert interval_s(WATCHDOG_USEC="2000000") == 0.5
    assert interval_s(WATCHDOG_USEC="60000000") == BEAT_S


def test_a_heartbeat_before_the_last_boot_has_no_age(tmp_path):
    heartbeat.write(tmp_path, heartbeat.Heartbeat(1, "another boot", 5.0, True, ""))
    assert heartbeat.read(tmp_path).age_s is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": null}'])
def test_what_is_no_heartbeat(tmp_path, text):
    (tmp_path / heartbeat.NAME).write_text(text)
    assert heartbeat.read(tmp_path) is None
