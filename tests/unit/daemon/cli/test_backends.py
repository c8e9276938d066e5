"""`kbd backends` as a user types it."""

import json

from kbd.backends.registry import BUILT_IN
from kbd.daemon import kernel_types as kernel_types_module


def test_every_kernel_type_is_listed_with_what_it_lacks(kbd):
    result = kbd("backends", "--json")
    assert result.code == 0
    listed = {one["kernel_type"]: one for one in json.loads(result.out)["kernel_types"]}
    assert set(listed) >= {registration.kernel_type for registration in BUILT_IN}
    assert listed["torch"]["missing"] == {"cpu": None, "cuda": None}
    assert listed["cuda"]["missing"]["cpu"].startswith("CUDA kernels run on CUDA devices")
    assert listed["torch"]["plug_in"] is False


def test_people_get_a_table(kbd):
    lines = kbd("backends").out.splitlines()
    assert lines[0].split() == ["torch", "cpu", "available"]
    assert lines[1].split() == ["cuda", "available"]


def test_a_plug_in_that_cannot_be_imported_is_told_and_the_others_are_listed(kbd, monkeypatch):
    def broken(kernel_type):
        raise ImportError(f"no {kernel_type} here")

    monkeypatch.setattr(kernel_types_module, "backend_for", broken)
    result = kbd("backends")
    assert result.code == 0
    assert "its backend cannot be imported: ImportError: no torch here" in result.out
