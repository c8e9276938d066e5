"""An answer that was written before its question is no answer."""

import threading
import time

import pytest

from kbd.daemon.executor.async_channel import channel_pair
from kbd.daemon.executor.channel import Channel
from kbd.daemon.executor.runner_protocol import Burst, Done, FromJudgeToRunner
from kbd.daemon.judge.runner_link import Deadline, RunnerForged, RunnerLink


def test_an_answer_given_before_the_question_is_forged():
    ours, theirs = channel_pair()
    runner = Channel(theirs, FromJudgeToRunner)
    runner.send(Done(claimed_us=0))  # forged by the kernel, before anybody asked

    def honest_harness():
        runner.receive(60)
        time.sleep(0.2)  # the burst really takes this long
        runner.send(Done(claimed_us=200_000))

    thread = threading.Thread(target=honest_harness)
    thread.start()
    link = RunnerLink("candidate", ours, Deadline(60))
    try:
        with pytest.raises(RunnerForged):
            link.ask_timed(Burst(index=0), Done, 60)
    finally:
        thread.join()
        ours.close()
        theirs.close()
