"""Which kernel types there are: built-in ones first, plug-ins after, clashes never."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from kbd.backends import registry
from kbd.backends.base import Unsupported
from kbd.backends.registry import (
    BUILT_IN,
    backend_for,
    import_built_in,
    registrations,
    why_unknown,
    why_unusable,
)
from kbd.backends.torch_backend import BACKEND


@pytest.fixture
def plug_ins(monkeypatch):
    """Install plug-ins as (name, location)."""

    def install(*points):
        found = [SimpleNamespace(name=name, value=value) for name, value in points]
        monkeypatch.setattr(registry, "entry_points", lambda group: found if group == "kbd.backends" else [])
        registrations.cache_clear()

    yield install
    monkeypatch.undo()
    registrations.cache_clear()


def test_built_in_types_are_known(plug_ins):
    plug_ins()
    assert set(registrations()) == {entry.kernel_type for entry in BUILT_IN}
    assert backend_for("torch") is BACKEND
    assert why_unknown("torch") is None


def test_every_built_in_backend_can_be_imported_and_is_called_as_registered():
    for entry in BUILT_IN:
        assert backend_for(entry.kernel_type).kernel_type == entry.kernel_type


def test_a_plug_in_is_found_and_imported_only_when_used(plug_ins, monkeypatch):
    plug_ins(("metal", "kbd_metal_plugin:BACKEND"))
    assert why_unknown("metal") is None
    assert "kbd_metal_plugin" not in sys.modules
    monkeypatch.setitem(sys.modules, "kbd_metal_plugin", SimpleNamespace(BACKEND="the plug-in"))
    assert backend_for("metal") == "the plug-in"


@pytest.mark.parametrize("clash", [("torch", "mine:X"), ("metal", "second:X")])
def test_a_name_taken_twice_is_an_error_that_names_both(plug_ins, clash):
    plug_ins(("metal", "first:X"), clash)
    with pytest.raises(ValueError, match=rf"{clash[1]}.*'{clash[0]}'.*rename its entry point") as error:
        registrations()
    assert ("kbd.backends.torch_backend" if clash[0] == "torch" else "first:X") in str(error.value)


def test_what_is_imported_in_advance_is_all_that_a_torch_kernel_needs(tmp_path):
    code = """
import sys, pathlib, torch, kbd.backends.torch_module, kbd.daemon.runner.main
from kbd.backends.base import CompileRequest, LoadContext, Target
from kbd.backends.registry import backend_for, import_built_in, registrations
from kbd.inbox.manifest import KernelCode
import_built_in()
before = {*sys.modules, "kbd_kernel"}
assert registrations.cache_info().currsize == 1
kernel = KernelCode(kernel_type="torch", source_code="def double(x): return x * 2")
backend = backend_for("torch")
artifact = backend.compile(CompileRequest(kernel, Target("cpu"), ()), pathlib.Path.cwd())
backend.load(artifact, LoadContext(kernel, "candidate", torch.device("cpu"), (), 1, None))
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout.split(), done.stderr) == ([], "")


def test_a_clash_of_plug_ins_is_left_to_those_who_ask(plug_ins):
    plug_ins(("torch", "mine:X"))
    import_built_in()
    with pytest.raises(ValueError, match="rename its entry point"):
        registrations()


def test_a_plug_in_that_cannot_be_imported(plug_ins):
    plug_ins(("metal", "kbd_metal_that_is_not_there:BACKEND"))
    problem = why_unusable("metal")
    assert (
        "'metal' cannot be used: kbd_metal_that_is_not_there:BACKEND fails with ModuleNotFoundError"
        in problem
    )
    assert why_unusable("torch") is None
    assert why_unusable("matlab") == why_unknown("matlab")


def test_a_type_that_nobody_knows():
    assert why_unknown("matlab").startswith("kernel_type 'matlab' is not known here; available: ")
    with pytest.raises(Unsupported, match="matlab") as error:
        backend_for("matlab")
    assert "plug-in" in error.value.hint


def test_the_list_needs_no_torch():
    code = "from kbd.backends.registry import why_unknown; why_unknown('x'); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "kbd.backends.registry" in done.stdout.split()
    assert "torch" not in done.stdout.split()
