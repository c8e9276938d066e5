"""Which errors are Triton's compiler's, and the line of the user's source that they name."""

import sys

import pytest

from kbd.backends.triton_drivers import TargetDriver, active
from kbd.backends.triton_errors import compile_failure

pytest.importorskip("triton", reason="Triton is not installed")
SOURCE = """
import triton
import triton.language as tl


@triton.jit
def helper(p):
    tl.store(p, nowhere)


@triton.jit
def calls_helper(p):
    helper(p)


class Holder:
    @staticmethod
    @triton.jit
    def within(p):
        places = tl.arange(0, 3)
        tl.store(p + places, 0.0)


@triton.jit
def asserts(p):
    tl.static_assert(1 > 2, "one is not enough")
"""


@pytest.fixture
def said(tmp_path, monkeypatch):
    """What becomes of the error that Triton raises when it compiles one of the kernels."""

    def compile_(name, source=SOURCE):
        import torch

        path = tmp_path / "kernels_for_errors.py"
        path.write_text(SOURCE)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "kernels_for_errors", raising=False)
        import kernels_for_errors as module

        holder, _, kernel = name.rpartition(".")
        function = getattr(getattr(module, holder) if holder else module, kernel)
        with active(TargetDriver("sm_90")), pytest.raises(Exception) as caught:  # noqa: PT011 - judged by the test
            function.warmup(torch.float32, grid=(1,))
        return compile_failure(caught.value, source)

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # Triton 3.9 warns where nobody has chosen
    return compile_


@pytest.mark.parametrize(
    ("kernel", "line", "words"),
    [
        ("helper", "tl.store(p, nowhere)", "nowhere"),
        ("calls_helper", "tl.store(p, nowhere)", "nowhere"),
        ("Holder.within", "places = tl.arange(0, 3)", "power of 2"),
        ("asserts", "tl.static_assert", "one is not enough"),
    ],
)
def test_the_line_of_the_users_source(said, kernel, line, words):
    failure = said(kernel)
    number = next(n for n, text in enumerate(SOURCE.splitlines(), 1) if line in text)
    assert str(failure).startswith(f"line {number}: ")
    assert words in str(failure)
    assert words in failure.output


def test_a_kernel_from_elsewhere_has_no_line(said):
    failure = said("helper", source="import somewhere_else\n")
    assert not str(failure).startswith("line")
    assert "nowhere" in str(failure)


def test_the_assembler_and_the_passes_are_the_compiler_too():
    from triton.runtime.errors import PTXASError

    assert "ptxas: too much" in str(compile_failure(PTXASError("ptxas: too much"), ""))
    assert compile_failure(RuntimeError("PassManager::run failed"), "") is not None


def test_nothing_else_is():
    from triton.runtime.errors import OutOfResources

    class PTXASError(Exception):
        """Not Triton's."""

    for error in (OutOfResources(3, 2, "shared memory"), PTXASError("x"), RuntimeError("x"), SystemExit(1)):
        assert compile_failure(error, SOURCE) is None


def test_what_only_pretends_does_no_harm():
    from triton.compiler.errors import CompilationError

    class Evil(CompilationError):
        def __init__(self):
            self.__cause__ = self

        def __getattribute__(self, name):
            if name in ("error_message", "node", "src"):
                raise SystemError(name)
            return super().__getattribute__(name)

    assert compile_failure(Evil(), SOURCE) is None


def test_without_triton_there_is_nothing_to_say(monkeypatch):
    monkeypatch.delitem(sys.modules, "triton.compiler.errors", raising=False)
    assert compile_failure(RuntimeError("PassManager::run failed"), "") is None
