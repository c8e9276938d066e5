"""A judge that hangs up leaves no traceback of the harness in the kernel's log."""

from kbd.daemon.executor.async_channel import channel_pair
from kbd.daemon.executor.channel import Channel
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import Burst, FromJudgeToRunner
from kbd.daemon.runner import main


def test_a_judge_that_hangs_up_is_no_error_of_the_runners(tmp_path, monkeypatch):
    ours, theirs = channel_pair()
    real = main.answer

    def answer_late(*arguments):
        ours.close()  # the judge gave up while the kernel ran
        return real(*arguments)

    monkeypatch.setattr(main, "answer", answer_late)
    Channel(ours, FromJudgeToRunner).send(Burst(index=0))
    main.serve(
        Channel(theirs, FromJudgeToRunner), DeviceTarget(kind="cpu"), tmp_path
    )  # raises PeerGone today
    theirs.close()
