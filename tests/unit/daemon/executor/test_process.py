"""Children as the daemon holds them: output is drained, ends are told apart, nothing survives a kill."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.process import ChildProcess, ExitStatus, OutputTail, signal_name
from kbd.daemon.executor.process_tree import children_of


def spawn(code, **options):
    """A child that no Popen object will reap: that is the daemon's work."""
    arguments = [sys.executable, "-S", "-c", textwrap.dedent(code)]
    setsid = options.pop("setsid", True)
    return os.posix_spawn(sys.executable, arguments, os.environ, setsid=setsid, **options)


async def ended(code, **options):
    return await ChildProcess(spawn(code, **options)).wait()


# --- how a process ended ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_codes(on_loop, code):
    assert on_loop(ended(f"import os; os._exit({code})")) == ExitStatus(code)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM, 40])
def test_signals(on_loop, number):
    code = f"""
        import os, resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), {int(number)})
    """
    assert on_loop(ended(code)) == ExitStatus(None, int(number))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (ExitStatus(3), "exited with status 3"),
        (ExitStatus(None, 11), "killed by SIGSEGV"),
        (ExitStatus(None, 40), "killed by signal 40"),
    ],
)
def test_an_end_in_words(status, text):
    assert str(status) == text


def test_signals_without_a_name():
    assert signal_name(9) == "SIGKILL"
    assert signal_name(40) == "signal 40"


def test_an_end_before_anybody_looked_is_not_lost(on_loop):
    pid = spawn("pass")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    async def look():
        return await ChildProcess(pid).wait()

    assert on_loop(look()) == ExitStatus(0)


def test_a_child_reaped_by_somebody_else_is_ended_all_the_same(on_loop):
    async def look():
        child = ChildProcess(spawn("pass"))
        os.waitpid(child.pid, 0)  # noqa: ASYNC222 - somebody who does not know better
        return await child.wait()

    assert on_loop(look()) == ExitStatus(None, signal.SIGKILL)


# --- killing ----------------------------------------------------------------------------------------


def test_kill_ends_a_process_that_ignores_every_polite_signal(on_loop, pipe):
    reading, writing = pipe
    code = """
        import os, signal, time
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.write(1, b"!")
        time.sleep(600)
    """

    async def kill():
        child = ChildProcess(spawn(code, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)]))
        await asyncio.to_thread(os.read, reading, 1)
        assert child.alive
        assert await child.ended_within(0.001) is None
        status = await child.kill()
        assert not child.alive
        return status

    assert on_loop(kill()) == ExitStatus(None, signal.SIGKILL)


def test_kill_takes_the_whole_group(on_loop, pipe):
    reading, writing = pipe
    code = """
        import os, time
        os.fork()
        os.write(1, b"!")
        time.sleep(600)
    """

    async def kill():
        child = ChildProcess(spawn(code, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)]))
        os.close(writing)
        for _ in range(2):
            await asyncio.to_thread(os.read, reading, 1)
        await child.kill()
        # The pipe ends when the last process that could write into it has ended.
        return await asyncio.to_thread(os.read, reading, 1)

    assert on_loop(kill()) == b""


def test_kill_reaches_a_child_that_leads_no_group(on_loop):
    async def kill():
        child = ChildProcess(spawn("import time; time.sleep(600)", setsid=False))
        return await child.kill()

    assert on_loop(kill()) == ExitStatus(None, signal.SIGKILL)


def test_killing_the_dead_tells_how_they_died(on_loop):
    async def kill():
        child = ChildProcess(spawn("import os; os._exit(3)"))
        await child.wait()
        return [await child.kill(), await child.kill(), await child.ended_within(60)]

    assert on_loop(kill()) == [ExitStatus(3)] * 3


def test_a_cancelled_wait_does_not_disturb_the_others(on_loop):
    async def wait():
        child = ChildProcess(spawn("import time; time.sleep(600)"))
        waiting = asyncio.create_task(child.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        return await child.kill()

    assert on_loop(wait()).signal == signal.SIGKILL


def test_no_descriptor_is_left(on_loop, open_descriptors):
    async def several():
        before = open_descriptors()
        for _ in range(3):
            reading, writing = os.pipe()
            child = ChildProcess(spawn("pass"), OutputTail(reading))
            os.close(writing)
            await child.wait()
            await child.kill()
        return open_descriptors() - before

    assert on_loop(several()) == 0


# --- output -----------------------------------------------------------------------------------------


def drained(pieces, kept_bytes):
    """The tail of a pipe into which these pieces were written one after another."""

    async def drain():
        reading, writing = os.pipe()
        tail = OutputTail(reading, kept_bytes)
        for piece in pieces:
            os.write(writing, piece)
            tail._drain()
        os.close(writing)
        tail.close()
        return tail

    return asyncio.run(drain())


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 32))
def test_the_first_and_last_bytes_are_kept(pieces, kept):
    written = b"".join(pieces)
    tail = drained(pieces, kept)
    assert tail.total == len(written)
    assert tail._head == written[:kept]
    assert tail._tail == written[kept:][-kept:]
    assert tail.truncated == (len(written) > 2 * kept)


def test_short_output_is_text_as_it_was():
    assert drained([b"one\n", b"two\n"], 64).text() == "one\ntwo\n"


def test_a_gap_is_marked_with_its_size():
    assert drained([b"a" * 10, b"-" * 85, b"z" * 10], 10).text() == "a" * 10 + (
        "\n… 85 bytes left out …\n" + "z" * 10
    )


def test_bytes_that_are_no_text_do_no_harm():
    assert drained([b"\xff\xfe ok"], 64).text() == "\ufffd\ufffd ok"


def test_closing_takes_what_is_still_in_the_pipe(on_loop):
    async def close_late():
        reading, writing = os.pipe()
        tail = OutputTail(reading)
        os.write(writing, b"last words")
        tail.close()
        tail.close()
        os.close(writing)
        return tail.text()

    assert on_loop(close_late()) == "last words"


def test_a_flood_is_drained_and_the_child_never_waits(on_loop):
    size = 20_000_000

    async def flood():
        reading, writing = os.pipe()
        code = f"import os; n = {size}\nwhile n: n -= os.write(1, b'x' * min(n, 65536))"
        child = ChildProcess(
            spawn(code, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)]), OutputTail(reading)
        )
        os.close(writing)
        status = await child.wait()
        await child.kill()
        return status, child.output

    status, output = on_loop(flood())
    assert status == ExitStatus(0)
    assert output.total == size
    assert output.truncated
    assert len(output.text()) < 200_000


# --- orphans ----------------------------------------------------------------------------------------

SWEEP = """
import os, subprocess, sys, time
from kbd.daemon.executor.kernel_calls import adopt_orphans
from kbd.daemon.executor.process import sweep
from kbd.daemon.executor.process_tree import children_of

adopt_orphans()
known = subprocess.Popen(["sleep", "600"])
reading, writing = os.pipe()
tree = '''
import os, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        os.fork()
        os.write(1, str(os.getpid()).encode() + b" ")
        time.sleep(600)
os._exit(0)
'''
parent = subprocess.Popen([sys.executable, "-S", "-c", tree], stdout=writing)
os.close(writing)
parent.wait()
left = b""
while left.count(b" ") < 4:
    left += os.read(reading, 100)
swept = sweep({known.pid})
gone = not any(os.path.exists(f"/proc/{int(pid)}") for pid in left.split())
print(swept, gone, known.poll(), children_of(os.getpid()) == {known.pid}, sweep({known.pid}))
known.kill()
known.wait()
"""


def test_orphans_and_their_children_are_swept_away_and_others_are_not():
    done = subprocess.run([sys.executable, "-c", SWEEP], capture_output=True, text=True, timeout=60)
    assert done.stdout == "4 True None True 0\n", done.stderr


def test_children_of_a_process_that_is_gone():
    process = subprocess.Popen(["true"])
    assert process.pid in children_of(os.getpid())
    process.wait()
    assert children_of(process.pid) == set()


# --- output that is written down --------------------------------------------------------------------


class Noted:
    """A log in memory."""

    def __init__(self):
        self.data = b""
        self.closed = 0

    def write(self, data):
        assert not self.closed
        self.data += data

    def close(self):
        self.closed += 1


def test_what_came_before_it_was_known_whose_it_is_is_written_down_as_well(on_loop):
    async def record():
        reading, writing = os.pipe()
        tail, log = OutputTail(reading, kept_bytes=4), Noted()
        os.write(writing, b"warm")
        tail.drain()
        tail.record(log)
        os.write(writing, b", then much more")
        os.close(writing)
        tail.close()
        return log

    log = on_loop(record())
    assert (log.data, log.closed) == (b"warm, then much more", 1)


def test_the_log_of_a_process_that_is_gone_is_closed_at_once(on_loop):
    async def record():
        reading, writing = os.pipe()
        tail, log = OutputTail(reading), Noted()
        os.write(writing, b"last words")
        os.close(writing)
        tail.close()
        tail.record(log)
        return log

    log = on_loop(record())
    assert (log.data, log.closed) == (b"last words", 1)


def test_output_that_starts_over_is_somebody_elses(on_loop):
    class Recorded(list):
        def write(self, data):
            self.append(data)

        def close(self):
            self.append("closed")

    async def story():
        reading, writing = os.pipe()
        tail, first, second = OutputTail(reading), Recorded(), Recorded()
        tail.record(first)
        os.write(writing, b"one")
        tail.start_over()
        tail.record(second)
        os.write(writing, b"two")
        os.close(writing)
        tail.close()
        return first, second, tail.text(), tail.total

    first, second, text, total = on_loop(story())
    assert first == [b"", b"one", "closed"]
    assert second == [b"", b"two", "closed"]
    assert (text, total) == ("two", 3)
