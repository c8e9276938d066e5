"""Interpreted Triton: right where it is right, refused where it would be silently wrong."""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

SETTING = """
    import sys
    import torch
    import triton  # as the nursery has: not for the interpreter
    from kbd.backends.base import LoadContext, Unsupported
    from kbd.backends.triton_interpreter import interpret_if_no_gpu
    from kbd.inbox.manifest import KernelCode

    def context(source, device="cpu"):
        kernel = KernelCode(kernel_type="triton", source_code=source)
        return LoadContext(kernel, "candidate", torch.device(device), (), 0)

    def attempt(call):
        try:
            call()
            return "done"
        except Exception as error:
            return f"{{type(error).__name__}}: {{error}}"
"""
KERNELS = """
import triton
import triton.language as tl


@triton.jit
def softmax(x_ptr, y_ptr, n, B: tl.constexpr):
    places = tl.arange(0, B)
    x = tl.load(x_ptr + places, mask=places < n, other=-float("inf"))
    e = tl.exp(x - tl.max(x, axis=0))
    tl.store(y_ptr + places, e / tl.sum(e, axis=0), mask=places < n)


@triton.jit
def narrow(x_ptr, n, B: tl.constexpr):
    places = tl.arange(0, B)
    x = tl.load(x_ptr + places, mask=places < n).to(tl.bfloat16)
    tl.store(x_ptr + places, (x + x).to(tl.float32), mask=places < n)


@triton.jit
def wrong(x_ptr, n, B: tl.constexpr):
    tl.store(x_ptr, missing)
"""


# Reads where a script lies, runs it in a fork of itself, says how that has ended.
NURSERY = """
    import os
    import traceback

    def live(script):
        status = 1
        try:
            with open("said", "w") as said:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
            with open(script) as file:
                exec(file.read(), dict(globals()))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    for line in sys.stdin:
        if (child := os.fork()) == 0:
            live(line.strip())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

pytestmark = pytest.mark.xdist_group("interpreter")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs code in a process that was forked from one with torch and Triton, as runners are."""
    folder = tmp_path_factory.mktemp("interpreter")
    (folder / "kernels.py").write_text(KERNELS)
    code = textwrap.dedent(SETTING).replace("{{", "{").replace("}}", "}") + textwrap.dedent(NURSERY)
    command = [sys.executable, "-W", "ignore", "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as nursery:

        def run(code):
            (folder / "script.py").write_text(textwrap.dedent(code))
            nursery.stdin.write("script.py\n")
            nursery.stdin.flush()
            ended = nursery.stdout.readline()
            said = (folder / "said").read_text()
            assert ended == "0\n", said
            return said.splitlines()

        yield run
        nursery.kill()


def test_a_process_that_has_imported_triton_already_interprets_its_library_too(run):
    said = run("""
        assert interpret_if_no_gpu(context("import triton"))
        sys.path.insert(0, "")
        import kernels
        for dtype in (torch.float32, torch.float16, torch.float64):
            x, y = torch.randn(100).to(dtype), torch.empty(100, dtype=dtype)
            kernels.softmax[(1,)](x, y, 100, 128)
            print(torch.allclose(y.float(), torch.softmax(x.float(), 0), atol=1e-3))
    """)
    assert said == ["True"] * 3


def test_what_would_be_wrong_is_refused_and_what_the_kernel_raises_is_its_own(run):
    said = run("""
        interpret_if_no_gpu(context("import triton"))
        sys.path.insert(0, "")
        import kernels
        for dtype in (torch.bfloat16, torch.float8_e5m2):
            x = torch.zeros(100).to(dtype)
            print(attempt(lambda: kernels.softmax[(1,)](x, x, 100, 128)))
        print(attempt(lambda: kernels.narrow[(1,)](torch.ones(100), 100, 128)))
        print(attempt(lambda: kernels.wrong[(1,)](torch.ones(100), 100, 128)))
    """)
    assert said[0].startswith("Unsupported: the Triton interpreter")
    assert "computes bfloat16 wrongly" in said[0]
    assert "computes float8_e5m2 wrongly" in said[1]
    assert said[2].startswith("Unsupported: ")
    assert said[3] == "NameError: name 'missing' is not defined"


def test_nothing_changes_on_a_gpu_or_without_triton_in_the_source(run):
    said = run("""
        print(interpret_if_no_gpu(context("import triton", "cuda")), interpret_if_no_gpu(context("import torch")))
        import os
        print(os.environ.get("TRITON_INTERPRET"), sys.modules["triton"] is triton)
    """)
    assert said == ["False False", "None True"]


def test_a_module_may_ask_for_the_active_device(run):
    said = run("""
        interpret_if_no_gpu(context("import triton"))
        import triton
        print(triton.runtime.driver.active.get_active_torch_device())
        call = triton.runtime.driver.active.get_benchmarker()
        print(len(call(lambda: None, quantiles=(0.5, 0.2, 0.8))))
    """)
    assert said == ["cpu", "3"]
