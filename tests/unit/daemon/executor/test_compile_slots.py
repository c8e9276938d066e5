"""Compile slots with compilers that only answer: how many, for how long, and never one for what is kept."""

import asyncio
import io
import os
from typing import ClassVar

import pytest

from kbd.backends.base import CompileRequest, Target
from kbd.daemon.compile_settings import CompileSettings
from kbd.daemon.executor import compile_slots
from kbd.daemon.executor.channel import PeerGone
from kbd.daemon.executor.compile_slots import CompileSlots
from kbd.daemon.executor.compiler_protocol import Compiled
from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.runner_process import RunnerEnd
from kbd.daemon.executor.runner_protocol import Failed
from kbd.inbox.kernel_code import KernelCode

CONTENT = b"what the compiler made"
REFUSED = Failed(status="compile_error", type="X", message="no")


def request(source="def f(): pass", arch=None):
    kernel = KernelCode(kernel_type="torch", source_code=source)
    return CompileRequest(kernel, Target("cuda" if arch else "cpu", arch))


class Nursery:
    def __init__(self, torch="2.6"):
        self.environment = {"torch": torch}


class Compiler:
    """Answers as `behave` says; None: never."""

    behave = None
    alive = 0
    most_alive = 0

    def __init__(self):
        self.pid = id(self)
        type(self).alive += 1
        type(self).most_alive = max(self.alive, self.most_alive)

    @classmethod
    async def start(cls, nursery, folder):
        await asyncio.sleep(0)
        return cls()

    def record(self, log):
        log.write(b"words")

    async def ask(self, question, memory):
        self.questions.append(question)
        self.asked.set()
        return await type(self).behave(memory)

    async def end(self, *, dying=False):
        type(self).alive -= 1
        return RunnerEnd(ExitStatus(0), natural=dying, output="words", truncated=False)


@pytest.fixture
def compiler(monkeypatch):
    class Fresh(Compiler):
        questions: ClassVar[list] = []
        asked = asyncio.Event()

        @staticmethod
        async def behave(memory):
            await asyncio.sleep(0.01)
            os.pwrite(memory, CONTENT, 0)
            return Compiled(nbytes=len(CONTENT), unfinished="a device")

    monkeypatch.setattr(compile_slots, "CompilerProcess", Fresh)
    return Fresh


@pytest.fixture
def make_slots(tmp_path, compiler):
    def make(**settings):
        return CompileSlots(Nursery(), tmp_path, CompileSettings(tmp_path / "artifacts", **settings))

    return make


def content(made):
    try:
        return os.pread(made.archive.descriptor, 1000, 0)
    finally:
        made.archive.close()


def test_what_was_built_is_found_again(make_slots, on_loop):
    slots = make_slots()
    first = on_loop(slots.compile(request(), 10))
    assert (content(first), first.archive.unfinished, first.end.output) == (CONTENT, "a device", "words")
    again = on_loop(make_slots().compile(request(), 10))
    assert (content(again), again.archive.unfinished, again.end) == (CONTENT, "a device", None)
    assert slots.forked == 1


def test_what_a_compiler_prints_is_written_down_and_a_kept_kernel_has_no_log(make_slots, on_loop):
    slots, begun = make_slots(), []

    def begin_log():
        begun.append(io.BytesIO())
        return begun[-1]

    content(on_loop(slots.compile(request(), 10, begin_log)))
    content(on_loop(slots.compile(request(), 10, begin_log)))
    assert [log.getvalue() for log in begun] == [b"words"]


@pytest.mark.parametrize(
    "other",
    [lambda: request("def g(): pass"), lambda: request(arch="sm_90")],
    ids=["source", "target"],
)
def test_anything_else_is_built(make_slots, on_loop, other):
    slots = make_slots()
    content(on_loop(slots.compile(request(), 10)))
    content(on_loop(slots.compile(other(), 10)))
    assert slots.forked == 2


def test_another_version_is_built(make_slots, on_loop):
    slots = make_slots()
    content(on_loop(slots.compile(request(), 10)))
    slots._nursery = Nursery("2.7")
    content(on_loop(slots.compile(request(), 10)))
    assert slots.forked == 2


def test_what_is_asked_for_twice_at_once_is_built_once(make_slots, on_loop):
    slots = make_slots()

    async def both():
        return await asyncio.gather(slots.compile(request(), 10), slots.compile(request(), 10))

    assert [content(made) for made in on_loop(both())] == [CONTENT, CONTENT]
    assert slots.forked == 1


def test_never_more_at_once_than_there_are_slots(make_slots, on_loop, compiler):
    slots, at_once, met = make_slots(slots=2), compiler.behave, asyncio.Event()

    async def with_another(memory):
        if compiler.alive == 2:
            met.set()
        await met.wait()
        return await at_once(memory)

    compiler.behave = staticmethod(with_another)

    async def many():
        return await asyncio.gather(*(slots.compile(request(f"x = {n}"), 10) for n in range(6)))

    for made in on_loop(many()):
        content(made)
    assert compiler.most_alive == 2
    assert compiler.alive == 0
    assert slots.pids == set()


def test_a_refusal_is_not_kept(make_slots, on_loop, compiler):
    slots = make_slots()

    async def refuse(memory):
        return REFUSED

    compiler.behave = staticmethod(refuse)
    for _ in range(2):
        made = on_loop(slots.compile(request(), 10))
        assert (made.failed, made.archive, made.overdue) == (REFUSED, None, False)
    assert slots.forked == 2


@pytest.mark.parametrize(
    ("seconds", "limit_s"), [(0.05, 300), (300, 0.05)], ids=["the job's", "the daemon's"]
)
def test_a_compiler_that_takes_too_long(make_slots, on_loop, compiler, seconds, limit_s):
    slots = make_slots(limit_s=limit_s)
    compiler.behave = staticmethod(lambda memory: asyncio.Event().wait())
    made = on_loop(slots.compile(request(), seconds))
    assert (made.overdue, made.archive, made.failed) == (True, None, None)
    assert compiler.alive == 0


def test_a_compiler_that_dies(make_slots, on_loop, compiler):
    async def die(memory):
        raise PeerGone("closed")

    compiler.behave = staticmethod(die)
    made = on_loop(make_slots().compile(request(), 10))
    assert (made.archive, made.failed, made.overdue) == (None, None, False)
    assert made.end.natural  # it was left a moment to die


def test_a_cancel_ends_the_compiler_and_sweeps(make_slots, on_loop, compiler):
    slots, swept = make_slots(), []
    slots.swept = lambda: swept.append(set(slots.pids))
    compiler.behave = staticmethod(lambda memory: asyncio.Event().wait())

    async def cancel():
        task = asyncio.create_task(slots.compile(request(), 100))
        await compiler.asked.wait()
        assert len(slots.pids) == 1
        task.cancel()
        await asyncio.wait([task])

    on_loop(cancel())
    assert (compiler.alive, slots.pids, swept) == (0, set(), [set()])


def test_a_nursery_that_fails(make_slots, on_loop, compiler, monkeypatch):
    async def fail(nursery, folder):
        raise NurseryFailed("no processes")

    monkeypatch.setattr(compiler, "start", fail)
    slots = make_slots()
    with pytest.raises(NurseryFailed):
        on_loop(slots.compile(request(), 10))
    assert not slots.starting
    assert slots.forked == 0


def test_a_build_that_is_alone_gets_every_core(make_slots, on_loop, compiler):
    content(on_loop(make_slots(memory_bytes=1 << 30).compile(request(arch="sm_90"), 10)))
    (question,) = compiler.questions
    assert question.jobs == len(os.sched_getaffinity(0))
    assert (question.target, question.arch, question.memory_bytes) == ("cuda", "sm_90", 1 << 30)


def test_a_cache_that_cannot_be_used_costs_only_time(make_slots, on_loop, tmp_path):
    (tmp_path / "artifacts").write_text("no folder")
    slots = make_slots()
    for _ in range(2):
        assert content(on_loop(slots.compile(request(), 10))) == CONTENT
    assert slots.forked == 2


def test_archives_are_closed_by_those_who_have_them(make_slots, on_loop, open_descriptors):
    slots = make_slots()
    content(on_loop(slots.compile(request(), 10)))
    before = open_descriptors()
    for number in range(3):
        content(on_loop(slots.compile(request(f"x = {number}"), 10)))
        content(on_loop(slots.compile(request(f"x = {number}"), 10)))
    assert open_descriptors() == before
