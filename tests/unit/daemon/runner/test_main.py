"""What a runner says: answers, and failures told in the user's own words."""

import json
import sys
import threading

import pytest
import torch
from pydantic import BaseModel

from kbd.backends.base import CompileFailed, LoadFailed, Unsupported
from kbd.backends.python_source import MODULE_NAME
from kbd.daemon.executor.channel import Channel, PeerGone, encode
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import (
    Bind,
    Burst,
    Failed,
    FromJudgeToRunner,
    FromNewRunner,
    FromRunner,
    Load,
    Loaded,
    Okay,
    Ran,
    Run,
    Warm,
)
from kbd.daemon.runner.harness import Harness
from kbd.daemon.runner.main import (
    MESSAGE_CHARS,
    TRACEBACK_CHARS,
    answer,
    compute_as_asked,
    describe,
    sendable,
    serve,
)
from kbd.daemon.runner.values import UnknownValue
from kbd.inbox.manifest import KernelCode

CPU = DeviceTarget(kind="cpu")


@pytest.fixture
def harness(tmp_path, monkeypatch):
    """As in a runner, whose working folder is its own."""
    monkeypatch.chdir(tmp_path)
    yield Harness(CPU, tmp_path)
    sys.modules.pop(MODULE_NAME, None)


@pytest.fixture
def run(harness):
    """What is said about one call of a function without arguments, or about the failure to load it."""

    def call(source):
        kernel = KernelCode(kernel_type="torch", source_code=source)
        loaded = answer(harness, Load(role="candidate", kernel=kernel, init_seed=0), [])
        if not isinstance(loaded, Loaded):
            return loaded
        assert answer(harness, Bind(index=0, values=[], slots=()), []) == Okay()
        return answer(harness, Run(index=0), [])

    return call


def raised(error):
    """What is said of an error that somebody else's code raises."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return describe(caught)


def raised_by_kbd(error):
    """What is said of an error that a backend raises."""
    return describe(error.with_traceback(None))


# --- kinds of failures ------------------------------------------------------------------------------


class Checked(BaseModel):
    """Something that pydantic refuses."""

    number: int


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CompileFailed("bad", output="compiler says"), "runtime_error"),
        (LoadFailed("nothing here"), "runtime_error"),
        (Unsupported("no such type"), "runtime_error"),
        (UnknownValue("a lambda"), "runtime_error"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (ValueError("x"), "runtime_error"),
        (SystemExit(3), "runtime_error"),
        (KeyboardInterrupt(), "runtime_error"),
        (GeneratorExit(), "runtime_error"),
        (RecursionError("deep"), "runtime_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_failure_has_a_status(error, status):
    failed = raised(error)
    assert failed.status == status
    assert failed.type == type(error).__name__
    assert failed.message


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CompileFailed("bad", output="compiler says"), "compile_error"),
        (LoadFailed("nothing here"), "runtime_error"),
        (Unsupported("no such type"), "unsupported"),
    ],
    ids=["compile", "load", "unsupported"],
)
def test_every_failure_of_kbds_own_has_a_status(error, status):
    assert raised_by_kbd(error).status == status


PRETENDS = {
    "own": """from kbd.backends.base import Unsupported
def f(): raise Unsupported("too old", hint="wait")""",
    "subclass": """from kbd.backends.base import Unsupported
class Odd(Unsupported):
    def __init__(self): pass
def f(): raise Odd""",
    "fake_module": """from kbd.backends.base import Unsupported
def f():
    globals()["__name__"] = "kbd.backends.registry"
    raise Unsupported("x")""",
    "calls_kbd": """from kbd.backends.registry import backend_for
def f(): backend_for("matlab")""",
    "compile": """from kbd.backends.base import CompileFailed
def f(): raise CompileFailed("x", output="y")""",
    "fake_class": """class Unsupported(Exception): pass
def f(): raise Unsupported""",
    "import": """from kbd.backends.base import Unsupported
raise Unsupported("too old")""",
    "future": """from concurrent.futures import Future
from kbd.backends.base import Unsupported
def f():
    future = Future()
    future.set_exception(Unsupported("x"))
    future.result()""",
}


@pytest.mark.parametrize("source", PRETENDS.values(), ids=PRETENDS)
def test_what_a_kernel_raises_is_its_own_whatever_its_class(run, source):
    failed = run(source)
    assert (failed.status, failed.hint) == ("runtime_error", None)
    assert "kbd_kernel.py" in failed.traceback_tail


def test_an_answer_that_is_too_long_is_the_kernels(run):
    failed = sendable(run("def f():\n    return 'a' * 2_000_000\n"))
    assert (failed.status, failed.type) == ("runtime_error", "Untellable")
    assert "describing it takes" in failed.message


def test_a_shortage_without_words_is_told_in_words():
    assert raised(MemoryError()).message == "it wanted more memory than it may have"


def test_hints_are_those_of_the_backend():
    assert raised_by_kbd(LoadFailed("m", hint="define Model")).hint == "define Model"
    assert raised(ValueError("m")).hint is None


def test_the_compilers_own_text_is_the_traceback():
    assert (
        raised_by_kbd(CompileFailed("bad", output="kernel.cu(3): error")).traceback_tail
        == "kernel.cu(3): error"
    )


@pytest.mark.parametrize("error", [LoadFailed("m"), Unsupported("m")])
def test_where_no_code_of_the_user_ran_there_is_no_traceback(error):
    assert raised_by_kbd(error).traceback_tail is None


def test_what_cannot_be_described_is_said_in_words():
    with pytest.raises(ValueError, match="number") as refusal:
        Checked(number="x")
    assert describe(refusal.value).message.startswith(
        "the kernel returned something that cannot be described"
    )


def test_long_messages_are_cut():
    failed = raised(ValueError("x" * 1_000_000))
    assert len(failed.message) == MESSAGE_CHARS
    assert len(failed.traceback_tail) == TRACEBACK_CHARS


def test_an_error_without_words_has_its_name():
    assert raised(ValueError()).message == "ValueError"


# --- hostile errors ---------------------------------------------------------------------------------


class Hostile(Exception):
    """Raises wherever somebody looks."""

    def __str__(self):
        raise RuntimeError("gotcha")

    __repr__ = __str__


class Shy(Exception):
    """Has no notes, no cause and no traceback for anybody."""

    def __getattribute__(self, name):
        if name.startswith("__") and name != "__class__":
            raise RuntimeError("gotcha")
        return super().__getattribute__(name)


@pytest.mark.parametrize("kind", [Hostile, Shy])
def test_hostile_errors_are_told_all_the_same(kind):
    failed = raised(kind())
    assert (failed.status, failed.type) == ("runtime_error", kind.__name__)
    assert encode(failed)


def test_a_name_without_end():
    failed = raised(type("E" * 100_000, (Exception,), {})())
    assert len(failed.type) == 256


# --- tracebacks -------------------------------------------------------------------------------------


def test_frames_of_harness_and_backend_are_left_out(run, tmp_path):
    failed = run("def _inner():\n    raise ValueError('mine')\n\ndef f():\n    _inner()\n")
    assert (failed.type, failed.message) == ("ValueError", "mine")
    lines = failed.traceback_tail.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: mine"
    assert [line.split(", ")[1:] for line in lines if line.startswith("  File")] == [
        ["line 5", "in f"],
        ["line 2", "in _inner"],
    ]
    assert "daemon/runner" not in failed.traceback_tail
    assert str(tmp_path) not in failed.traceback_tail
    assert f'File "{MODULE_NAME}.py"' in failed.traceback_tail


def test_an_error_while_importing_shows_the_users_line(run):
    failed = run("x = 1\n1 / 0\n")
    assert (failed.status, failed.type) == ("runtime_error", "ZeroDivisionError")
    assert "line 2, in <module>" in failed.traceback_tail
    assert "importlib" not in failed.traceback_tail


def test_causes_are_shown(run):
    source = (
        "def f():\n    try:\n        {}['key']\n    except KeyError as error:\n"
        "        raise ValueError('second') from error\n"
    )
    tail = run(source).traceback_tail
    assert tail.index("KeyError: 'key'") < tail.index("ValueError: second")


def test_the_end_of_a_long_traceback_is_kept(run):
    failed = run("def f():\n    raise ValueError('x' * 20_000 + 'the end')\n")
    assert failed.traceback_tail.rstrip().endswith("the end")


def test_syntax_errors_are_shown_where_they_are(run):
    failed = run("def f(:\n")
    assert failed.status == "compile_error"
    assert failed.message.startswith("line 1: ")
    assert "def f(:" in failed.traceback_tail


LAUNCHES = """import torch
import triton
import triton.language as tl
from kbd.backends.triton_drivers import TargetDriver, active


@triton.jit
def wrong(p):
    tl.store(p, nowhere)


def f():
    with active(TargetDriver("sm_90")):
        wrong.warmup(torch.float32, grid=(1,))
"""


def test_a_kernel_that_triton_cannot_compile_when_it_is_launched(run, monkeypatch):
    pytest.importorskip("triton", reason="Triton is not installed")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    interpreted = "kbd.backends.triton_interpreter.interpret_if_no_gpu"
    monkeypatch.setattr(interpreted, lambda context: False)  # as on a device
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # Triton 3.9 warns where nobody has chosen
    failed = run(LAUNCHES)
    assert failed.status == "compile_error"
    assert failed.message.startswith("line 9: ")
    assert "nowhere" in failed.message
    assert "tl.store(p, nowhere)" in failed.traceback_tail


def test_leaving_is_an_error_as_any_other(run):
    failed = run("import sys\ndef f():\n    sys.exit(0)\n")
    assert (failed.status, failed.type) == ("runtime_error", "SystemExit")


def test_a_failure_is_not_the_end(run):
    assert isinstance(run("def f():\n    raise ValueError\n"), Failed)
    assert isinstance(run("def f():\n    return 1\n"), Ran)


# --- serving ----------------------------------------------------------------------------------------


def test_a_runner_is_warm_answers_and_leaves_with_its_judge(pair, tmp_path):
    theirs = Channel(pair[1], FromJudgeToRunner)
    thread = threading.Thread(target=serve, args=(theirs, CPU, tmp_path))
    thread.start()
    assert Channel(pair[0], FromNewRunner).receive(60) == Warm()
    channel = Channel(pair[0], FromRunner)
    for _ in range(2):
        channel.send(Burst(index=0))
        assert channel.receive(60).message == "no input sets are bound"
    channel.close()
    thread.join(60)
    assert not thread.is_alive()


def test_nothing_is_said_to_a_judge_who_is_gone(pair, tmp_path):
    pair[0].close()
    with pytest.raises(PeerGone):
        serve(Channel(pair[1], FromJudgeToRunner), CPU, tmp_path)


def test_answers_are_frames(run):
    for source in (
        "def f():\n    return [1.5, 'x', None, (2, {3: 4})]\n",
        "def f():\n    raise ValueError\n",
    ):
        assert json.loads(encode(run(source))[4:])


def test_float32_means_float32():
    """Asked of the process that a runner is; its switches cannot be patched and put back like attributes."""
    switches = (torch.backends.cudnn, torch.backends.cuda.matmul)
    usual = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = True
        compute_as_asked()
        assert [switch.allow_tf32 for switch in switches] == [False, False]
    finally:
        for switch, value in zip(switches, usual, strict=True):
            switch.allow_tf32 = value
