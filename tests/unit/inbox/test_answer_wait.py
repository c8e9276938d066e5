import pytest

from kbd.inbox.answer_wait import await_answer
from kbd.inbox.control import Answer, AnswerCode, answer_path
from kbd.inbox.rhythm import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, Rhythm, pause_after
from kbd.inbox.spool import Spool


class Clock:
    """Time that passes in pauses only; at `at` something happens."""

    def __init__(self, at=float("inf"), event=None):
        self.now, self.at, self.event = 50.0, at, event

    def pause(self, seconds):
        self.now += seconds
        if self.now >= self.at:
            self.event()
            self.at = float("inf")

    @property
    def rhythm(self):
        return Rhythm(clock=lambda: self.now, pause=self.pause)


@pytest.fixture
def spool(tmp_path):
    return Spool.create(tmp_path / "spool")


def test_an_answer_that_comes(spool):
    text = Answer(code=AnswerCode.DONE, message="fine").model_dump_json()
    clock = Clock(52.0, lambda: answer_path(spool, "t").write_text(text))
    asked = []
    answer = await_answer(spool, "t", 100.0, rhythm=clock.rhythm, meanwhile=lambda: asked.append(clock.now))
    assert answer is not None
    assert answer.message == "fine"
    assert len(asked) == 1


def test_none_in_time(spool):
    clock = Clock()
    assert await_answer(spool, "t", 53.0, rhythm=clock.rhythm) is None
    assert clock.now == pytest.approx(53.0)


def test_what_is_asked_meanwhile_can_end_it(spool):
    def gone():
        raise RuntimeError("nobody there")

    with pytest.raises(RuntimeError, match="nobody"):
        await_answer(spool, "t", 100.0, rhythm=Clock().rhythm, meanwhile=gone)


def test_pauses_grow_with_the_wait():
    assert pause_after(0) == SHORTEST_PAUSE_S
    assert pause_after(2) == pytest.approx(0.1)
    assert pause_after(1000) == LONGEST_PAUSE_S
