"""`kbd backends` as a user types it."""

import json

import pytest

from kbd.backends.registry import BUILT_IN
from kbd.daemon import kernel_types as kernel_types_module
from kbd.daemon.kernel_types import KernelType

BUILT_FOR_CPU = "extensions with CUDA need a PyTorch with CUDA; the one installed here was built for the CPU"
SOME = [
    KernelType(
        "torch", "kbd.backends.torch_backend:BACKEND", plug_in=False, missing={"cpu": None, "cuda": None}
    ),
    KernelType(
        "torch_cuda",
        "kbd.backends.torch_cuda:BACKEND",
        plug_in=False,
        missing={"cpu": None, "cuda": BUILT_FOR_CPU},
    ),
    KernelType("numpy", "kbd_numpy:BACKEND", plug_in=True, missing={"cpu": "no \x1b[2J here", "cuda": "no"}),
]


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


@pytest.mark.parametrize(
    ("name", "arguments", "environment"),
    [
        ("backends", [], {}),
        ("backends_json", ["--json"], {}),
        ("backends_on_a_terminal", [], {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}),
    ],
)
def test_as_it_looks(kbd, monkeypatch, same_as_golden, name, arguments, environment):
    """What can be used differs from host to host; these were seen on some."""
    monkeypatch.setattr(kernel_types_module, "kernel_types", lambda: SOME)
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    same_as_golden(kbd("backends", *arguments).out.replace("\x1b", "␛"), f"{name}.txt")
