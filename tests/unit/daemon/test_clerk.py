"""The clerk: one thread, one thing after another, and nothing half done."""

import asyncio
import gc
import threading

import pytest
from structlog.testing import capture_logs

from kbd.daemon.clerk import Clerk


@pytest.fixture
def clerk():
    clerk = Clerk()
    yield clerk
    clerk.close()


def test_everything_is_done_in_one_thread_that_is_not_ours(clerk, on_loop):
    async def ask():
        return {await clerk.do(threading.get_ident) for _ in range(5)}

    (thread,) = on_loop(ask())
    assert thread != threading.get_ident()


def test_arguments_and_results(clerk, on_loop):
    assert on_loop(clerk.do(sorted, [3, 1, 2], reverse=True)) == [3, 2, 1]


def test_errors_come_back(clerk, on_loop):
    with pytest.raises(ZeroDivisionError):
        on_loop(clerk.do(divmod, 1, 0))
    assert on_loop(clerk.do(int, "7")) == 7


def test_one_after_another_in_the_order_of_asking(clerk, on_loop):
    done = []

    async def ask():
        await asyncio.gather(*(clerk.do(done.append, number) for number in range(50)))

    on_loop(ask())
    assert done == list(range(50))


def test_what_has_begun_is_finished_though_nobody_waits(clerk, on_loop):
    begun, go, done = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        go.wait(60)
        done.append("work")

    async def cancel():
        asking = asyncio.create_task(clerk.do(work))
        await asyncio.to_thread(begun.wait)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert done == []
        go.set()
        await clerk.do(done.append, "next")

    on_loop(cancel())
    assert done == ["work", "next"]


def test_a_failure_that_nobody_waits_for_is_told_in_a_line(clerk, on_loop):
    begun, go, loud = threading.Event(), threading.Event(), []

    def fail():
        begun.set()
        go.wait(60)
        raise OSError("the disk is gone")

    async def cancel():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: loud.append(context))
        asking = asyncio.create_task(clerk.do(fail))
        await asyncio.to_thread(begun.wait)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go.set()
        await clerk.do(int)
        gc.collect()

    with capture_logs() as logs:
        on_loop(cancel())
    assert [(each["action"], each["reason"]) for each in logs] == [("unheard_failure", "the disk is gone")]
    assert loud == []


def test_closing_waits_for_what_was_begun(on_loop):
    clerk, done = Clerk(), []
    go = threading.Event()

    def work():
        go.wait(60)
        done.append(1)

    async def begin():
        asyncio.ensure_future(clerk.do(work)).add_done_callback(lambda _: None)
        await asyncio.sleep(0)

    on_loop(begin())
    go.set()
    clerk.close()
    assert done == [1]
