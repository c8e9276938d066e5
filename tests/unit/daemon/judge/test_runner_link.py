"""Questions to a runner: whatever it does instead of answering has a name, and a limit."""

import os
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.channel import HEADER, RUNNER_FRAME_BYTES
from kbd.daemon.executor.protocol import Ready
from kbd.daemon.executor.runner_protocol import Burst, Done, Failed, Okay, Run
from kbd.daemon.judge.runner_link import (
    Deadline,
    RunnerFailed,
    RunnerForged,
    RunnerLink,
    RunnerLost,
    RunnerSilent,
    RunnerTrouble,
)

FAILED = Failed(status="runtime_error", type="ValueError", message="the kernel's own")
QUESTION = Burst(index=0)


@pytest.fixture
def link(scripted):
    """A link to a runner that says this to the first question; a function is called instead."""

    def connect(answer, *, seconds=60.0):
        def script(channel):
            question = channel.receive()
            if callable(answer):
                answer(channel)
            elif answer is not None:
                channel.send(answer.model_copy(update={"nonce": question.nonce}))

        return RunnerLink("candidate", scripted(script), Deadline(seconds))

    return connect


def hold(channel):
    """Say nothing until the judge gives up."""
    while channel.sock.recv(1000):
        pass


def test_an_answer(link):
    assert link(Done(claimed_us=2)).ask(QUESTION, Done, 60).claimed_us == 2


def test_questions_can_carry_descriptors(scripted, pipe):
    def script(channel):
        question, (received,) = channel.receive_with_descriptors()
        os.write(received, b"!")
        os.close(received)
        channel.send(Okay(nonce=question.nonce))

    link = RunnerLink("candidate", scripted(script), Deadline(60))
    assert isinstance(link.ask(QUESTION, Okay, 60, [pipe[1]]), Okay)
    assert os.read(pipe[0], 1) == b"!"


def test_the_users_own_error(link):
    with pytest.raises(RunnerFailed, match="the kernel's own") as trouble:
        link(FAILED).ask(QUESTION, Done, 60)
    assert trouble.value.failed.model_copy(update={"nonce": 0}) == FAILED


def test_a_runner_that_dies(link):
    with pytest.raises(RunnerLost):
        link(None).ask(QUESTION, Done, 60)


def test_a_runner_that_died_before_the_question(link):
    connected = link(None)
    with pytest.raises(RunnerLost):
        connected.ask(QUESTION, Done, 60)
    with pytest.raises(RunnerLost):
        connected.ask(QUESTION, Done, 60)


def test_a_runner_that_says_nothing(link):
    with pytest.raises(RunnerSilent, match="no answer") as trouble:
        link(hold).ask(QUESTION, Done, 0.01)
    assert trouble.value.limit_s == 0.01


def test_whose_answers_the_jobs_time_went_to(link):
    connected = link(hold, seconds=0.05)
    connected._deadline.answered("reference", 2.0)
    connected._deadline.answered("reference", 3.0)
    with pytest.raises(RunnerSilent) as trouble:
        connected.ask(QUESTION, Done, 60)
    assert trouble.value.answered_s == {"reference": 5.0}
    assert trouble.value.other_used_it_up


def test_an_answer_counts_for_whoever_gave_it(link):
    connected = link(Done(claimed_us=2))
    connected.ask(QUESTION, Done, 60)
    assert list(connected._deadline.silence("reference", 1.0).answered_s or {}) == []
    connected._deadline.extend(-60)
    assert list(connected._deadline.silence("reference", 1.0).answered_s) == ["candidate"]


@pytest.mark.parametrize(
    ("answered_s", "is_the_others"),
    [
        (None, False),
        ({}, False),
        ({"candidate": 3.0, "reference": 2.0}, True),
        ({"candidate": 3.0}, True),
        ({"candidate": 3.0, "reference": 3.5}, False),
        ({"candidate": 0.9}, False),
    ],
)
def test_who_used_up_the_jobs_time(answered_s, is_the_others):
    assert RunnerSilent("reference", 1.0, answered_s).other_used_it_up is is_the_others


def test_a_runner_that_never_finishes_its_answer(link):
    def begin(channel):
        channel.sock.sendall(HEADER.pack(100) + b"{")
        hold(channel)

    with pytest.raises(RunnerSilent):
        link(begin).ask(QUESTION, Done, 0.05)


@pytest.mark.parametrize(
    "said",
    [
        HEADER.pack(2) + b"{}",
        HEADER.pack(RUNNER_FRAME_BYTES + 1),
        HEADER.pack(1 << 31),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["no message", "too long", "far too long", "another protocol"],
)
def test_an_answer_that_is_none(link, said):
    with pytest.raises(RunnerForged):
        link(lambda channel: channel.sock.sendall(said)).ask(QUESTION, Done, 60)


@pytest.mark.parametrize("said", [Okay(), Run(index=0), Ready(environment={})], ids=lambda said: said.kind)
def test_an_answer_to_another_question(link, said):
    with pytest.raises(RunnerForged):
        link(said).ask(QUESTION, Done, 60)


def test_an_answer_given_in_advance_is_an_answer_to_nothing(scripted):
    def script(channel):
        channel.send(Done(claimed_us=1))
        hold(channel)

    link = RunnerLink("candidate", scripted(script), Deadline(60))
    with pytest.raises(RunnerForged, match="does not answer what was asked"):
        link.ask(QUESTION, Done, 60)


def test_every_trouble_names_its_kernel(link):
    for answer in (None, Okay(), FAILED, hold):
        with pytest.raises(RunnerTrouble) as trouble:
            link(answer).ask(QUESTION, Done, 0.05 if answer is hold else 60)
        assert trouble.value.role == "candidate"


def test_descriptors_of_a_runner_are_refused(link, open_descriptors, pipe):
    connected = link(lambda channel: channel.send(Done(claimed_us=0), [pipe[1]] * 3))
    before = open_descriptors()
    with pytest.raises(RunnerForged):
        connected.ask(QUESTION, Done, 60)
    assert open_descriptors() <= before


def test_time_is_taken_from_asking_to_the_answers_arrival(pair, monkeypatch):
    connected = RunnerLink("candidate", pair[0], Deadline(60))
    monkeypatch.setattr("kbd.daemon.judge.runner_link.time", SimpleNamespace(perf_counter_ns=lambda: 5_000))
    connected._channel.arrived_ns = 9_500
    monkeypatch.setattr(connected, "ask", lambda *_: Done(claimed_us=77))
    assert connected.ask_timed(QUESTION, Done, 60) == (4.5, Done(claimed_us=77))


def test_closing_lets_the_runner_go(scripted):
    gone = threading.Event()

    def script(channel):
        assert channel.sock.recv(1) == b""
        gone.set()

    RunnerLink("candidate", scripted(script), Deadline(60)).close()
    assert gone.wait(60)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 200))
def test_no_answer_may_take_longer_than_what_is_left_of_the_job(seconds, limit, passed):
    now = [1000.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kbd.daemon.judge.runner_link.time", SimpleNamespace(monotonic=lambda: now[0]))
        deadline = Deadline(seconds)
        now[0] += passed
        found = deadline.limit(limit)
    assert found == pytest.approx(max(0.0, min(limit, seconds - passed)), abs=1e-9)
