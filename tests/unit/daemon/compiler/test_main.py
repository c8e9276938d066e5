"""A compiler answers its one question, whatever the kernel is."""

import os
import resource

import pytest

from kbd.backends.artifact_archive import unpack
from kbd.backends.base import Artifact
from kbd.daemon.compiler import main
from kbd.daemon.compiler.main import answer
from kbd.daemon.executor.compiler_process import archive_memory
from kbd.daemon.executor.compiler_protocol import Compile, Compiled
from kbd.daemon.executor.runner_protocol import Failed
from kbd.inbox.kernel_code import KernelCode


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """What it does to its process is noted, not done to this one."""
    done = {}
    monkeypatch.setattr(os, "nice", lambda by: done.setdefault("nice", by))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: done.setdefault(which, limits))
    monkeypatch.setenv("MAX_JOBS", "7")
    return done


@pytest.fixture
def memory():
    with archive_memory(1 << 20) as descriptor:
        yield descriptor


def question(source="def f(): pass", kernel_type="torch", **more):
    kernel = KernelCode(kernel_type=kernel_type, source_code=source)
    values = {"target": "cpu", "arch": None, "archive_bytes": 1 << 20, "jobs": 2} | more
    return Compile(kernel=kernel, **values)


def test_an_archive_that_is_an_artifact(memory, tmp_path):
    compiled = answer(question(), memory, tmp_path)
    assert isinstance(compiled, Compiled)
    assert compiled.unfinished is None
    copy = tmp_path / "copy"
    copy.mkdir()
    unpack(memory, compiled.nbytes, copy)
    assert Artifact.read(copy).kernel_type == "torch"
    assert (copy / "kbd_kernel.py").read_text() == "def f(): pass"


def test_a_refusal_in_the_compilers_words(memory, tmp_path):
    failed = answer(question("def f(:"), memory, tmp_path)
    assert isinstance(failed, Failed)
    assert (failed.status, failed.message) == ("compile_error", "line 1: invalid syntax")
    assert "def f(:" in failed.traceback_tail


def test_a_type_that_nobody_knows(memory, tmp_path):
    assert answer(question(kernel_type="matlab"), memory, tmp_path).status == "unsupported"


def test_what_is_too_large(memory, tmp_path):
    failed = answer(question("#" * 20_000, archive_bytes=10_000), memory, tmp_path)
    assert (failed.status, "takes more than" in failed.message) == ("compile_error", True)


def test_it_is_modest(memory, tmp_path, settled):
    answer(question(memory_bytes=1 << 30), memory, tmp_path)
    assert settled["nice"] == main.NICENESS
    assert settled[resource.RLIMIT_DATA][0] <= 1 << 30
    assert os.environ["MAX_JOBS"] == "2"


def test_memory_for_an_archive_keeps_its_size(memory):
    os.pwrite(memory, b"x", 0)
    for size in (1, 1 << 21):
        with pytest.raises(PermissionError):
            os.ftruncate(memory, size)
    with pytest.raises(PermissionError):
        os.pwrite(memory, b"x", 1 << 20)
