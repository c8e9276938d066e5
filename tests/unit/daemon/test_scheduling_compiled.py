"""Jobs that are compiled first: no worker meanwhile, a fitting one afterwards, and nobody starves."""

import asyncio
import json
import os
from types import SimpleNamespace

import pytest

from kbd.backends.artifacts import seal
from kbd.backends.base import Target
from kbd.daemon.clerk import Clerk
from kbd.daemon.config import Limits
from kbd.daemon.devices import Device
from kbd.daemon.executor.compile_slots import Compilation
from kbd.daemon.executor.local import Outcome
from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import Failed
from kbd.daemon.judge.verdict import Verdict
from kbd.daemon.scheduler import Scheduler
from kbd.outbox.verdict import EvaluationStatus
from kbd.store.states import JobState

PASSED = Outcome(Verdict(status=EvaluationStatus.PASSED), None, {}, None, None)
REFUSED = Failed(status="compile_error", type="BuildFailed", message="line 1: no")


def job(kernel_type="torch_cuda", **more):
    candidate = {"kernel_type": kernel_type, "source_code": "import torch.utils.cpp_extension"}
    return json.dumps({"version": 1, "candidate": candidate, **more})


def archive():
    descriptor = os.memfd_create("source")
    sealed = seal(descriptor, 0)
    os.close(descriptor)
    return sealed


class Compilers:
    """Each compilation waits until the test ends it."""

    def __init__(self, slots):
        self.settings = SimpleNamespace(slots=slots, limit_s=300.0)
        self.nvcc = "13.0"
        self.asked = asyncio.Queue()
        self.targets = []

    async def compile(self, request, seconds, begin_log=None):
        ended = asyncio.get_running_loop().create_future()
        self.targets.append(request.target)
        await self.asked.put(ended)
        found = await ended
        if isinstance(found, Exception):
            raise found
        return found

    async def end_next(self, found=None):
        (await self.asked.get()).set_result(found or Compilation(1.0, archive()))


class Executor:
    """Its workers pass everything, after `gate` is open."""

    def __init__(self, devices, slots):
        self.nursery = SimpleNamespace(environment={})
        self.compilers = Compilers(slots)
        self.workers = [
            SimpleNamespace(
                device=Device(f"{kind}{number}", kind, DeviceTarget(kind=kind, arch=arch)),
                judge=SimpleNamespace(device=None),
                job_id=None,
                problem=None,
                ending=None,
            )
            for number, (kind, arch) in enumerate(devices)
        ]
        self.gate = asyncio.Event()
        self.gate.set()
        self.judged = []

    def free_workers(self):
        return [worker for worker in self.workers if worker.job_id is None]

    def isolation_of(self, worker):
        return None

    async def run(self, worker, request, on_progress, archives=(), owner=""):
        self.judged.append((request.job_id, worker.device.key, request, len(archives)))
        await self.gate.wait()
        return PASSED


@pytest.fixture
def site(desk):
    clerk = Clerk()
    woken = asyncio.Event()

    def build(*devices, slots=2):
        executor = Executor(devices or [("cpu", None)], slots)
        limits = Limits(retry_first_s=0.0)
        return Scheduler(executor, clerk, desk, limits, woken.set), executor

    yield build
    clerk.close()


def published(desk):
    return {path.stem: json.loads(path.read_text()) for path in desk.spool.outbox.glob("*.json")}


async def until(condition):
    """Let others work until it is true."""
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never became true")


async def settled(scheduler):
    """Dispatch until nothing runs."""
    while not scheduler.idle:
        await asyncio.sleep(0.005)
        await scheduler.dispatch()


def test_no_worker_is_taken_before_it_is_compiled(site, desk, queue, on_loop):
    scheduler, executor = site()
    queue("j", text=job(timeout=50))

    async def story():
        await scheduler.dispatch()
        ended = await executor.compilers.asked.get()
        row = desk.store.get("j")
        assert (row.state, row.device, row.attempts) == (JobState.COMPILING, "compiler", 1)
        assert len(executor.free_workers()) == 1
        ended.set_result(Compilation(8.0, archive()))
        await settled(scheduler)

    on_loop(story())
    ((_, device, request, archives),) = executor.judged
    assert (device, archives, request.seconds_left) == ("cpu0", 1, 42)
    assert [archive.role for archive in request.archives] == ["candidate"]
    result = published(desk)["j"]
    assert (result["status"], result["compiled"], result["timings_s"]["compile"]) == ("passed", True, 8.0)
    assert result["environment"]["nvcc"] == "13.0"
    assert desk.store.get("j").device == "cpu0"


def test_a_worker_judges_others_meanwhile(site, desk, queue, on_loop):
    scheduler, executor = site()
    queue("slow", text=job())
    queue("quick", text=job("torch"))

    async def story():
        await scheduler.dispatch()
        await until(lambda: "quick" in published(desk))
        assert "slow" not in published(desk)
        await executor.compilers.end_next()
        await settled(scheduler)

    on_loop(story())
    assert [name for name, *_ in executor.judged] == ["quick", "slow"]


def test_jobs_are_compiled_while_the_workers_are_busy_but_not_without_end(site, desk, queue, on_loop):
    scheduler, executor = site(slots=2)
    queue("first", text=job("torch"))
    queue("plain", text=job("torch"))
    queue(*[f"j{number}" for number in range(9)], text=job())
    executor.gate.clear()

    async def story():
        for _ in range(3):
            await scheduler.dispatch()
        waiting = [run for run in scheduler.running.values() if run.worker is None]
        assert len(waiting) == 2 + 2 * 1  # the slots, and two for the worker
        assert "plain" not in scheduler.running
        executor.gate.set()
        while not scheduler.idle or not scheduler.queue_empty:
            while not executor.compilers.asked.empty():
                await executor.compilers.end_next()
            await asyncio.sleep(0.005)
            await scheduler.dispatch()

    on_loop(story())
    assert len(published(desk)) == 11
    assert {result["status"] for result in published(desk).values()} == {"passed"}


def test_the_highest_priority_gets_the_worker_first(site, queue, on_loop):
    scheduler, executor = site(slots=3)
    queue("busy", text=job("torch"))
    executor.gate.clear()
    queue("low", text=job(priority=1))
    queue("high", text=job(priority=5))

    async def story():
        await scheduler.dispatch()
        for _ in range(2):
            await executor.compilers.end_next()
        await until(lambda: len(scheduler._compiled) == 2)
        executor.gate.set()
        await settled(scheduler)

    on_loop(story())
    assert [name for name, *_ in executor.judged] == ["busy", "high", "low"]


def test_it_is_compiled_for_the_device_that_suits_and_judged_on_such_a_one(site, queue, on_loop):
    scheduler, executor = site(("cuda", "sm_80"), ("cuda", "sm_90"))
    queue("j", text=job(device={"arch": "sm_90"}))

    async def story():
        await scheduler.dispatch()
        await executor.compilers.end_next()
        await settled(scheduler)

    on_loop(story())
    assert executor.compilers.targets == [Target("cuda", "sm_90")]
    assert executor.judged[0][1] == "cuda1"


def test_what_does_not_compile_takes_no_worker(site, desk, queue, on_loop):
    scheduler, executor = site()
    queue("j", text=job())

    async def story():
        await scheduler.dispatch()
        await executor.compilers.end_next(Compilation(1.0, failed=REFUSED))
        await settled(scheduler)

    on_loop(story())
    result = published(desk)["j"]
    assert (result["status"], result["stage"], result["compiled"]) == ("compile_error", "compile", False)
    assert executor.judged == []


def test_a_fault_of_the_nursery_is_tried_again(site, desk, queue, on_loop):
    scheduler, executor = site()
    queue("j", text=job())

    async def story():
        await scheduler.dispatch()
        (await executor.compilers.asked.get()).set_result(NurseryFailed("no processes"))
        while executor.compilers.asked.empty():
            await asyncio.sleep(0.005)
            await scheduler.dispatch()
        await executor.compilers.end_next()
        await settled(scheduler)

    on_loop(story())
    assert (published(desk)["j"]["status"], published(desk)["j"]["attempt"]) == ("passed", 2)


def test_a_stop_while_it_waits_for_a_worker_puts_it_back(site, desk, queue, on_loop):
    scheduler, executor = site()
    queue("busy", text=job("torch"))
    executor.gate.clear()
    queue("j", text=job())

    async def story():
        await scheduler.dispatch()
        await executor.compilers.end_next()
        await until(lambda: scheduler._compiled)
        scheduler.cancel_all()
        await scheduler.ended()

    on_loop(story())
    assert desk.store.get("j").state is JobState.SUBMITTED
    assert len(executor.free_workers()) == 1
    assert scheduler._compiled == {}
