"""A judge as the daemon talks to it: real frames, real runners, real verdicts."""

import gc
import threading

import pytest

from kbd.daemon.executor.channel import Channel
from kbd.daemon.executor.protocol import (
    CandidateDone,
    CandidateEnded,
    DeviceTarget,
    Evaluated,
    Forget,
    Forgotten,
    FromDaemonToJudge,
    FromJudge,
    JudgeReady,
    LeaseGranted,
    LeaseReleased,
    LeaseWanted,
    Progress,
)
from kbd.daemon.judge.main import serve


class Conversation:
    """The daemon's end of a judge that runs in a thread."""

    def __init__(self, pair):
        self.channel = Channel(pair[0], FromJudge)
        theirs = Channel(pair[1], FromDaemonToJudge)
        self._thread = threading.Thread(target=serve, args=(theirs, DeviceTarget(kind="cpu")))
        self._thread.start()
        self.ready = self.channel.receive(60)

    def evaluate(self, request, *sockets):
        """All that the judge says until its verdict, which comes last."""
        self.channel.send(request, [sock.fileno() for sock in sockets])
        for sock in sockets:
            sock.close()
        said = []
        while not said or not isinstance(said[-1], Evaluated):
            said.append(self.channel.receive(60))
            if isinstance(said[-1], LeaseWanted):
                self.channel.send(LeaseGranted())
            if isinstance(said[-1], CandidateDone):
                self.channel.send(CandidateEnded())
        return said

    def end(self):
        self.channel.close()
        self._thread.join(60)
        return not self._thread.is_alive()


@pytest.fixture
def judge(pair, start_runner):
    # Ends before the runners do: it holds the references' channels until then.
    del start_runner
    conversation = Conversation(pair)
    yield conversation
    assert conversation.end()


@pytest.fixture
def request_of(make_request, document):
    def build(source, **changes):
        return make_request(
            document(candidate={"kernel_type": "torch", "source_code": source}, **changes),
            seconds_left=60,
        )

    return build


GOOD = "def f(x):\n    return 2 * x\n"


def test_a_judge_introduces_its_device(judge):
    assert isinstance(judge.ready, JudgeReady)
    assert judge.ready.device.kind == "cpu"


def test_a_whole_evaluation(judge, request_of, start_runner):
    said = judge.evaluate(request_of(GOOD), start_runner("candidate"), start_runner("reference"))
    verdict = said[-1].verdict
    assert verdict.status == "passed", verdict.error
    assert verdict.seed == 7
    kinds = [type(message) for message in said if not isinstance(message, Progress)]
    assert kinds == [LeaseWanted, LeaseReleased] * 2 + [Evaluated]
    news = [(message.stage, message.role) for message in said if isinstance(message, Progress)]
    assert news[:2] == [("load", "reference"), ("load", "candidate")]
    assert news[-1] == ("timing", None)


@pytest.mark.parametrize(
    ("source", "status", "stage"),
    [
        ("def f(x:\n", "compile_error", "load"),
        ("def f(x):\n    raise ValueError('mine')\n", "runtime_error", "correctness"),
        ("def f(x):\n    return x\n", "incorrect_output", "correctness"),
    ],
)
def test_verdicts_on_bad_kernels(judge, request_of, start_runner, source, status, stage):
    said = judge.evaluate(request_of(source), start_runner("candidate"), start_runner("reference"))
    assert (said[-1].verdict.status, said[-1].verdict.stage) == (status, stage)
    assert LeaseWanted not in map(type, said)


def test_a_reference_is_heard_when_its_candidate_is_done_with(judge, request_of, start_runner, monkeypatch):
    monkeypatch.setattr("kbd.daemon.judge.alone.HEARD_ON", {"cpu"})
    # Of a busy host nothing is concluded here: what is said is looked at, and in which order.
    monkeypatch.setattr("kbd.daemon.judge.alone.SLOWED", 100.0)
    monkeypatch.setattr("kbd.daemon.judge.performance.check_plausible", lambda *_, **__: None)
    monkeypatch.setattr("kbd.daemon.judge.host_load.HostLoad.was_busy_since", lambda *_: False)
    sleeping = "import time\n\ndef f(x):\n    time.sleep({})\n    return x + x\n"
    slow = {"kernel_type": "torch", "source_code": sleeping.format(0.03)}
    request = request_of(sleeping.format(0.001), reference=slow)
    said = judge.evaluate(request, start_runner("candidate"), start_runner("reference"))
    verdict = said[-1].verdict
    assert verdict.status == "passed", verdict.error
    kinds = [type(message) for message in said if not isinstance(message, Progress)]
    leases = [LeaseWanted, LeaseReleased] * 2
    assert kinds == [*leases, CandidateDone, *leases, Evaluated], (verdict.notes, verdict.workloads)
    assert said[-2] == LeaseReleased()
    for result in verdict.workloads:
        assert result.performance.reference_alone_us > 20_000


def test_one_judge_serves_job_after_job(judge, request_of, start_runner, open_descriptors):
    left = []
    for number in range(3):
        runners = [start_runner(f"{role}{number}") for role in ("candidate", "reference")]
        said = judge.evaluate(request_of(GOOD, evaluation={"mode": "correctness"}), *runners)
        assert said[-1].verdict.status == "passed"
        gc.collect()  # what earlier tests left behind must not be counted as given back by this one
        left.append(open_descriptors())
    # Garbage of earlier tests may go between the first two counts.
    assert left[2] - left[1] <= max(left[1] - left[0], 0) + 16, "the memory of a job is released by the next"


def test_a_lone_candidate_needs_one_runner(judge, request_of, start_runner):
    said = judge.evaluate(request_of(GOOD, reference=None), start_runner("candidate"))
    assert said[-1].verdict.status == "passed"


def test_the_jobs_deadline_is_the_judges(judge, make_request, document, start_runner):
    request = make_request(document(reference=None), seconds_left=0.0)
    said = judge.evaluate(request, start_runner("candidate"))
    verdict = said[-1].verdict
    assert (verdict.status, verdict.stage, verdict.blame) == ("timeout", "load", "candidate")


def test_a_reference_that_forgot_its_job_serves_the_next(judge, request_of, start_runner):
    reference = start_runner("reference")
    for number in range(2):
        candidate = start_runner(f"candidate{number}")
        said = judge.evaluate(request_of(GOOD), candidate, reference.dup())
        assert said[-1].verdict.status == "passed", said[-1].verdict.error
        judge.channel.send(Forget())
        assert judge.channel.receive(60) == Forgotten(done=True)
    reference.close()


def test_a_reference_that_is_gone_has_not_forgotten(judge, request_of, start_runner):
    judge.evaluate(request_of(GOOD, reference=None), start_runner("candidate"))
    judge.channel.send(Forget())
    assert judge.channel.receive(60) == Forgotten(done=False)
