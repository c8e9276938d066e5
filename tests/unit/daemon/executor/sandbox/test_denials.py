"""Attempts and the layers that have to deny them."""

from kbd.daemon.executor.sandbox.denials import DENIALS, KILLING_INIT, broken_layers
from kbd.daemon.executor.sandbox.layers import Layer

EVERY = frozenset(Layer)


def test_every_attempt_has_a_name_of_its_own_and_layers_that_deny_it():
    assert len({denial.name for denial in DENIALS}) == len(DENIALS)
    assert all(denial.by for denial in DENIALS)


def test_nothing_got_through_nothing_is_broken():
    assert broken_layers({}, EVERY) == {}


def test_every_layer_in_force_that_should_have_denied_is_broken():
    for denial in DENIALS:
        assert broken_layers({denial.name: "got it"}, EVERY) == dict.fromkeys(denial.by, "got it")


def test_what_no_layer_was_to_deny_breaks_none():
    for denial in DENIALS:
        assert broken_layers({denial.name: "got it"}, EVERY - denial.by) == {}


def test_killing_pid_1_breaks_the_pid_namespace():
    assert broken_layers({KILLING_INIT: "dead"}, EVERY) == {Layer.PID: "dead"}
    assert broken_layers({KILLING_INIT: "dead"}, EVERY - {Layer.PID}) == {}
