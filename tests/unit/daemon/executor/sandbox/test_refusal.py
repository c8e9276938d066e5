"""Refusals carry the layer, what the system said, and advice where a switch is known."""

import pytest

from kbd.daemon.executor.sandbox import refusal
from kbd.daemon.executor.sandbox.layers import Layer


def test_an_error_of_the_system_is_the_layers_refusal():
    with pytest.raises(refusal.LayerRefused) as caught, refusal.needed_for(Layer.UTS):
        raise PermissionError(1, "Operation not permitted")
    assert caught.value.layer is Layer.UTS
    assert "Operation not permitted" in caught.value.reason
    assert str(caught.value).startswith("UTS namespace: ")


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), refusal.needed_for(Layer.UTS):
        _ = 1 / 0


def test_an_inner_refusal_keeps_its_layer():
    with pytest.raises(refusal.LayerRefused) as caught, refusal.needed_for(Layer.MOUNT):
        raise refusal.LayerRefused(Layer.PID, "no /proc")
    assert caught.value.layer is Layer.PID


def test_a_switch_that_is_off_is_named(tmp_path, monkeypatch):
    switch = tmp_path / "switch"
    switch.write_text("0\n")
    monkeypatch.setattr(
        refusal, "_SWITCHES", ((str(tmp_path / "absent"), "0", "no"), (str(switch), "0", "turn it on"))
    )
    assert refusal.refusal(Layer.USER_NAMESPACE, OSError(1, "refused")).reason.endswith("(turn it on)")
    assert "turn it on" not in refusal.refusal(Layer.SECCOMP, OSError(1, "refused")).reason
    switch.write_text("1\n")
    assert "turn it on" not in refusal.refusal(Layer.MOUNT, OSError(1, "refused")).reason
