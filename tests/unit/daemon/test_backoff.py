from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.backoff import Backoff

ATTEMPTS = st.integers(-1, 10_000)


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


def test_rests_double_up_to_the_longest():
    backoff = Backoff(2.0, 300.0, Clock())
    assert [backoff.rest("a", attempts) for attempts in (1, 2, 3, 8, 9, 5000)] == [2, 4, 8, 256, 300, 300]


@given(ATTEMPTS, ATTEMPTS, st.floats(0.01, 100), st.floats(0.01, 1000))
def test_more_attempts_never_mean_a_shorter_rest(one, other, first_s, longest_s):
    backoff = Backoff(first_s, longest_s, Clock())
    low, high = sorted([one, other])
    assert backoff.rest("a", low) <= backoff.rest("a", high) <= longest_s


def test_a_rest_is_over_when_its_time_is():
    clock = Clock()
    backoff = Backoff(2.0, 300.0, clock)
    assert backoff.due_in_s() is None
    backoff.rest("a", 1)
    backoff.rest("b", 2)
    assert backoff.resting() == {"a", "b"}
    assert backoff.due_in_s() == 2.0
    clock.now += 2.0
    assert backoff.due_in_s() == 0.0
    assert backoff.due_in_s() == 2.0, "told once"
    assert backoff.resting() == {"b"}
    clock.now += 5.0
    assert backoff.resting() == frozenset()
    assert backoff.due_in_s() is None


def test_a_rest_can_be_ended():
    backoff = Backoff(2.0, 300.0, Clock())
    backoff.rest("a", 1)
    assert backoff.end("a")
    assert not backoff.end("a")
    assert backoff.resting() == frozenset()
