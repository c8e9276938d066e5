"""Layers, what needs what, and the levels they amount to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.daemon.executor.sandbox.layers import (
    FOUNDATIONS,
    NAMESPACES,
    NEEDS,
    REQUIRED,
    Layer,
    Level,
    level_of,
    without,
)

ALL = frozenset(Layer)
SETS = st.frozensets(st.sampled_from(Layer))


def test_everything_is_the_highest_level():
    assert level_of(ALL) is Level.FULL
    assert level_of(frozenset()) is Level.NONE


@given(SETS, SETS)
def test_more_layers_are_never_a_lower_level(some, more):
    assert level_of(some | more).rank >= level_of(some).rank


@pytest.mark.parametrize("level", list(Level)[1:])
def test_a_level_is_lost_with_any_of_its_layers(level):
    for layer in REQUIRED[level]:
        assert level_of(ALL - {layer}).rank < level.rank


def test_namespaces_without_a_user_of_its_own_are_no_level():
    assert level_of(ALL - set(FOUNDATIONS)) is Level.PROCESS
    for foundation in FOUNDATIONS:
        assert level_of(ALL - {foundation}) is Level.FULL


def test_levels_are_ordered():
    assert [level.rank for level in Level] == [0, 1, 2, 3]
    assert [level.value for level in Level] == ["none", "process", "namespaces", "full"]


@given(SETS, st.sampled_from(Layer), st.booleans())
def test_what_is_left_has_what_it_needs(layers, dropped, root):
    whole = frozenset(layer for layer in layers if NEEDS.get(layer, frozenset()) <= layers)
    rest = without(whole, dropped, root=root)
    assert dropped not in rest
    assert rest <= whole
    for layer in rest:
        assert NEEDS.get(layer, frozenset()) <= rest


def test_without_a_user_namespace_only_root_has_namespaces():
    assert without(ALL, Layer.USER_NAMESPACE, root=False).isdisjoint(NAMESPACES)
    assert set(NAMESPACES) <= without(ALL, Layer.USER_NAMESPACE, root=True)
