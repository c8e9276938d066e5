"""Kernel type torch: what it needs, and that its daemon's half needs no torch."""

import subprocess
import sys

from kbd.backends import python_source
from kbd.backends.base import Artifact, CompileRequest, Target
from kbd.backends.torch_backend import BACKEND
from kbd.inbox.manifest import KernelCode

KERNEL = KernelCode(kernel_type="torch", source_code="def f(x):\n    return x\n")


def test_it_is_available_where_torch_is_and_needs_no_compiler(monkeypatch):
    assert BACKEND.why_unavailable(Target("cpu")) is None
    assert not BACKEND.needs_compiler(KERNEL)
    monkeypatch.setattr(python_source, "find_spec", lambda name: None)
    assert BACKEND.why_unavailable(Target("cpu")).endswith("pip install torch")


def test_the_artifact_is_the_module(tmp_path):
    artifact = BACKEND.compile(CompileRequest(KERNEL, Target("cpu")), tmp_path)
    assert artifact == Artifact("torch", tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == [KERNEL.source_code]


def test_the_questions_are_answered_without_torch():
    code = (
        "from kbd.backends.base import Target\n"
        "from kbd.backends.registry import backend_for, registrations\n"
        "for name in registrations():\n"
        "    backend_for(name).why_unavailable(Target('cuda', 'sm_90'))\n"
        "import sys; print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "kbd.backends.torch_backend" in done.stdout.split()
    assert not {"torch", "triton"} & set(done.stdout.split())
