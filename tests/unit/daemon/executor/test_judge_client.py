"""The daemon's side of a judge: verdicts come through, and a lost judge is nobody's fault."""

import asyncio
import contextlib
import os
from types import SimpleNamespace

import pytest

from kbd.daemon.executor.async_channel import channel_pair
from kbd.daemon.executor.channel import HEADER, Channel
from kbd.daemon.executor.judge_client import JudgeClient, JudgeFailed
from kbd.daemon.executor.protocol import (
    CandidateDone,
    CandidateEnded,
    DeviceTarget,
    Evaluate,
    Evaluated,
    Forget,
    Forgotten,
    FromDaemonToJudge,
    JudgeReady,
    LeaseGranted,
    LeaseReleased,
    LeaseWanted,
    Progress,
    StageLimits,
    WorkloadPlan,
)
from kbd.daemon.judge.verdict import Verdict
from kbd.inbox.manifest import Evaluation, KernelCode
from kbd.outbox.circumstances import DeviceReport
from kbd.outbox.verdict import EvaluationStatus

KERNEL = KernelCode(kernel_type="torch", source_code="def f(): pass")
VERDICT = Verdict(status=EvaluationStatus.PASSED)
REQUEST = Evaluate(
    job_id="j",
    candidate=KERNEL,
    reference=KERNEL,
    workloads=(WorkloadPlan(name="w"),),
    evaluation=Evaluation(),
    seconds_left=10,
    limits=StageLimits(load_s=1, correctness_s=1, timing_s=1, timing_budget_s=1),
)


class FakeProcess:
    """A judge's process that runs until it is killed, and closes the channel as it dies."""

    pid = 4242

    def __init__(self, sock):
        self.alive = True
        self.output = SimpleNamespace(text=lambda: "last words of the judge")
        self._sock = sock

    async def kill(self):
        self.alive = False
        self._sock.close()


class FakeNursery:
    """Forks judges that exist in this process: their ends of the channels are kept in `judges`."""

    def __init__(self):
        self.judges = []
        self.greets = True
        self.forked = asyncio.Event()

    async def fork(self, child, folder, device):
        assert child == "judge"
        assert folder.is_dir()
        ours, theirs = channel_pair()
        judge = Channel(theirs, FromDaemonToJudge)
        if self.greets:
            judge.send(JudgeReady(device=DeviceReport(kind=device.kind, name="fake")))
        self.judges.append(judge)
        self.forked.set()
        return FakeProcess(theirs), ours


@pytest.fixture
def nursery():
    nursery = FakeNursery()
    yield nursery
    for judge in nursery.judges:
        judge.close()


@pytest.fixture
def client(nursery, tmp_path, on_loop):
    client = JudgeClient(nursery, DeviceTarget(kind="cpu"), tmp_path / "judge")
    yield client
    on_loop(client.discard())


@pytest.fixture
def runner_sockets():
    first, second = channel_pair(), channel_pair()
    yield first[0], second[0]
    for end in (*first, *second):
        end.close()


def exclusively(lease):
    """What the executor offers as the device for one judge alone."""

    @contextlib.asynccontextmanager
    async def exclusive():
        async with lease:
            yield

    return exclusive


@pytest.fixture
def evaluate(client, nursery, runner_sockets, on_loop):
    """One evaluation, with what this judge says to it; answers the verdict, the news and the lease."""

    def run(script, *, limit_s=60):
        news, lease, ends = [], asyncio.Lock(), []

        async def ended():
            ends.append("candidate")

        async def converse():
            await client.start()
            asking = asyncio.create_task(
                client.evaluate(REQUEST, *runner_sockets, news.append, exclusively(lease), ended)
            )
            judge = nursery.judges[-1]
            speaking = asyncio.create_task(asyncio.to_thread(script, judge, lease))
            try:
                async with asyncio.timeout(limit_s):
                    return await asking
            finally:
                await speaking

        return SimpleNamespace(verdict=on_loop(converse()), news=news, lease=lease, ends=ends)

    return run


async def never():
    """What ends a candidate that nobody wants to be ended."""
    raise AssertionError


def take_request(judge):
    message, descriptors = judge.receive_with_descriptors()
    for descriptor in descriptors:
        os.close(descriptor)
    return message, len(descriptors)


def test_the_verdict_and_the_news_on_the_way(evaluate, client):
    progress = [Progress(stage="load", role="candidate"), Progress(stage="correctness")]

    def script(judge, _lease):
        assert take_request(judge) == (REQUEST, 2)
        for news in progress:
            judge.send(news)
        judge.send(Evaluated(verdict=VERDICT))

    found = evaluate(script)
    assert found.verdict == VERDICT
    assert found.news == progress
    assert client.device.name == "fake"


def test_one_judge_serves_many_jobs(evaluate, nursery):
    def script(judge, _lease):
        take_request(judge)
        judge.send(Evaluated(verdict=VERDICT))

    for _ in range(3):
        evaluate(script)
    assert len(nursery.judges) == 1


def test_the_lease_is_held_between_asking_and_giving_back(evaluate):
    held = []

    def script(judge, lease):
        take_request(judge)
        judge.send(LeaseWanted())
        assert judge.receive(60) == LeaseGranted()
        held.append(lease.locked())
        judge.send(LeaseReleased())
        judge.send(Evaluated(verdict=VERDICT))

    found = evaluate(script)
    assert held == [True]
    assert not found.lease.locked()


def test_a_candidate_is_gone_before_the_judge_is_told_so(evaluate):
    def script(judge, _lease):
        take_request(judge)
        judge.send(CandidateDone())
        assert judge.receive(60) == CandidateEnded()
        judge.send(Evaluated(verdict=VERDICT))

    assert evaluate(script).ends == ["candidate"]


def test_a_lease_waits_for_the_other_worker_of_the_device(client, nursery, runner_sockets, on_loop):
    wanted = asyncio.Event()

    async def converse():
        lease = asyncio.Lock()
        await lease.acquire()

        @contextlib.asynccontextmanager
        async def exclusive():
            wanted.set()
            async with lease:
                yield

        await client.start()
        asking = asyncio.create_task(
            client.evaluate(REQUEST, *runner_sockets, lambda _: None, exclusive, never)
        )
        judge = nursery.judges[0]
        await asyncio.to_thread(take_request, judge)
        judge.send(LeaseWanted())
        granted = asyncio.create_task(asyncio.to_thread(judge.receive))
        await wanted.wait()
        assert not granted.done()
        lease.release()
        assert await granted == LeaseGranted()
        judge.send(Evaluated(verdict=VERDICT))
        await asking
        return lease.locked()

    assert on_loop(converse()) is False, "a verdict without LeaseReleased gives the lease back as well"


def test_a_judge_that_dies_is_told_with_its_last_words(evaluate, client):
    def script(judge, _lease):
        take_request(judge)
        judge.send(LeaseWanted())
        judge.receive(60)
        judge.close()

    with pytest.raises(JudgeFailed, match=r"(?s)the judge died.*last words"):
        evaluate(script)
    assert client.pid is None


def test_a_judge_that_talks_nonsense_is_discarded(evaluate, client):
    def script(judge, _lease):
        take_request(judge)
        judge.sock.sendall(HEADER.pack(2) + b"{}")

    with pytest.raises(JudgeFailed, match="protocol"):
        evaluate(script)
    assert client.pid is None


def test_a_judge_that_is_not_waited_for_any_longer_is_discarded(evaluate, client):
    def script(judge, _lease):
        take_request(judge)

    with pytest.raises(TimeoutError):
        evaluate(script, limit_s=0.05)
    assert client.pid is None


def test_after_a_loss_the_next_start_forks_another(evaluate, client, nursery):
    def dying(judge, _lease):
        take_request(judge)
        judge.close()

    def living(judge, _lease):
        take_request(judge)
        judge.send(Evaluated(verdict=VERDICT))

    with pytest.raises(JudgeFailed):
        evaluate(dying)
    assert evaluate(living).verdict == VERDICT
    assert len(nursery.judges) == 2


def test_a_lost_judge_gives_its_lease_back(client, nursery, runner_sockets, on_loop):
    async def converse():
        lease = asyncio.Lock()
        await client.start()
        asking = asyncio.create_task(
            client.evaluate(REQUEST, *runner_sockets, lambda _: None, exclusively(lease), never)
        )
        judge = nursery.judges[0]
        await asyncio.to_thread(take_request, judge)
        judge.send(LeaseWanted())
        await asyncio.to_thread(judge.receive)
        assert lease.locked()
        judge.close()
        with pytest.raises(JudgeFailed):
            await asking
        return lease.locked()

    assert on_loop(converse()) is False


def test_a_judge_that_dies_before_it_is_ready(client, nursery, on_loop):
    nursery.greets = False

    async def start():
        starting = asyncio.create_task(client.start())
        await nursery.forked.wait()
        nursery.judges[0].close()
        await starting

    with pytest.raises(JudgeFailed, match=r"(?s)did not start.*last words"):
        on_loop(start())
    assert client.pid is None


def test_a_judge_that_never_becomes_ready(client, nursery, on_loop, monkeypatch):
    monkeypatch.setattr("kbd.daemon.executor.judge_client.START_LIMIT_S", 0.01)
    nursery.greets = False
    with pytest.raises(JudgeFailed, match="did not start"):
        on_loop(client.start())


@pytest.mark.parametrize("verb", ["start", "probe"])
def test_a_judge_that_is_not_waited_for_while_it_starts_is_discarded(client, nursery, on_loop, verb):
    """Its greeting would be taken for the answer to the first question."""

    async def change_of_mind():
        nursery.greets = False
        starting = asyncio.create_task(getattr(client, verb)())
        await nursery.forked.wait()
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert client.pid is None
        nursery.greets = True
        await client.start()

    on_loop(change_of_mind())
    assert len(nursery.judges) == 2


def test_a_judge_that_cannot_even_be_given_a_folder_is_an_answer_from_the_device(client, on_loop, tmp_path):
    (tmp_path / "judge").write_text("in the way")
    assert "no answer from the device: FileExistsError" in on_loop(client.probe())


def test_discarding_nothing(client, on_loop):
    assert on_loop(client.discard()) == ""


@pytest.mark.parametrize("done", [True, False])
def test_a_judge_says_whether_the_reference_has_forgotten_its_job(client, nursery, on_loop, done):
    async def story():
        await client.start()
        asking = asyncio.create_task(client.forget_job())
        judge = nursery.judges[-1]
        assert await asyncio.to_thread(judge.receive) == Forget()
        judge.send(Forgotten(done=done))
        return await asking

    assert on_loop(story()) is done


def test_a_judge_that_dies_meanwhile_has_made_nobody_forget(client, nursery, on_loop):
    async def story():
        await client.start()
        nursery.judges[-1].close()
        return await client.forget_job(), client.pid

    assert on_loop(story()) == (False, None)
