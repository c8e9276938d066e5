import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.store.errors import IllegalTransition
from kbd.store.states import FINAL, RUNNING, TRANSITIONS, JobState, require_transition

states = st.sampled_from(JobState)


def test_every_state_is_in_the_table_and_has_one_kind():
    assert set(TRANSITIONS) == set(JobState)
    assert {JobState.SUBMITTED} | RUNNING | FINAL == set(JobState)
    assert not RUNNING & FINAL


def test_nothing_follows_a_final_state_and_everything_can_end():
    for state in JobState:
        assert TRANSITIONS[state] == frozenset() if state in FINAL else TRANSITIONS[state] >= FINAL


def test_running_states_can_be_put_back():
    assert all(JobState.SUBMITTED in TRANSITIONS[state] for state in RUNNING)


def test_nothing_is_compiled_again():
    assert [state for state in JobState if JobState.COMPILING in TRANSITIONS[state]] == [JobState.SUBMITTED]


@given(states, states)
def test_a_step_is_legal_or_says_what_would_be(old, new):
    if new in TRANSITIONS[old]:
        require_transition("j", old, new)
    else:
        with pytest.raises(IllegalTransition, match="legal from here"):
            require_transition("j", old, new)
