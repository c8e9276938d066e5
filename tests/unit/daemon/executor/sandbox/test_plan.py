"""Plans travel as JSON and say who the runner is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import INNER_UID, Bounds, Sandbox


@given(
    st.builds(
        Sandbox,
        layers=st.frozensets(st.sampled_from(Layer)),
        uid=st.none() | st.integers(1, 1 << 20),
        hidden=st.lists(st.text(max_size=5)).map(tuple),
        cuda=st.booleans(),
    )
)
def test_a_plan_survives_its_journey(sandbox):
    assert Sandbox.model_validate_json(sandbox.model_dump_json()) == sandbox


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ({Layer.OWN_UID}, 61_000),
        ({Layer.USER_NAMESPACE}, INNER_UID),
        (set(), None),
    ],
)
def test_who_the_runner_is(layers, expected):
    assert Sandbox(layers=layers, uid=61_000).inner_uid == expected


def test_no_file_is_larger_than_the_largest_place():
    assert Bounds(folder_bytes=1, temporary_bytes=3, shared_memory_bytes=2).file_bytes == 3


def test_bounds_are_more_than_nothing():
    with pytest.raises(ValidationError):
        Bounds(processes=0)
