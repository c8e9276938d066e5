"""Whose frame an error comes from."""

import pytest

from kbd.backends import registry
from kbd.backends.base import Unsupported
from kbd.daemon.runner.raisers import is_raised_by_kbd


def raised(call):
    with pytest.raises(Unsupported) as caught:
        call()
    return caught.value


def test_kbd_raises():
    assert is_raised_by_kbd(raised(lambda: registry.backend_for("matlab")))


def test_what_was_never_raised_is_kbds():
    assert is_raised_by_kbd(Unsupported("made"))


def test_others_raise():
    def refuse():
        raise Unsupported("mine")

    assert not is_raised_by_kbd(raised(refuse))


def test_a_kernel_that_has_kbd_raise():
    variables = {"__name__": "kbd_kernel", "registry": registry}
    exec("def f():\n    registry.backend_for('matlab')", variables)
    assert not is_raised_by_kbd(raised(variables["f"]))


def test_interpreter_refuses_within_a_kernel():
    interpreter = pytest.importorskip("kbd.backends.triton_interpreter")
    variables = {"__name__": "kbd_kernel", "refuse": interpreter._refusal("get_bf16_ty")}
    exec("def f():\n    refuse()", variables)
    assert is_raised_by_kbd(raised(variables["f"]))


def test_a_plug_in_raises(monkeypatch):
    plug_in = registry.Registration("odd", f"{__name__}:BACKEND")
    monkeypatch.setattr("kbd.daemon.runner.raisers.registrations", lambda: {"odd": plug_in})

    def refuse():
        raise Unsupported("not here")

    assert is_raised_by_kbd(raised(refuse))
