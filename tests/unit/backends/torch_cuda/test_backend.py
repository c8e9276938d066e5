"""The whole way of a module with extensions: executed to see what it builds, loaded with what was built."""

import pytest
import torch

from kbd.backends.base import Artifact, CompileFailed, CompileRequest, LoadContext, Target, Unsupported
from kbd.backends.torch_cuda.backend import TorchCudaBackend
from kbd.inbox.contract import IOContract
from kbd.inbox.kernel_code import CompileOptions, KernelCode
from kbd.inbox.validation import validate

CPU = Target("cpu")
HEAD = "import torch\nfrom torch.utils.cpp_extension import load_inline\n"
MODEL = """
class ModelNew(torch.nn.Module):
    def forward(self, x):
        return extension.double(x)
"""
DOUBLE = f'{HEAD}extension = load_inline("double", "int f();", functions=["f"])\n{MODEL}'
CONTRACT = {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [3], "dtype": "float32"}}]}


@pytest.fixture
def backend(builder):
    return TorchCudaBackend(builder)


@pytest.fixture
def compiled(backend, folder):
    def run(source, target=CPU, contracts=(), **fields):
        kernel = KernelCode(kernel_type="torch_cuda", source_code=source, **fields)
        artifact = backend.compile(CompileRequest(kernel, target, contracts), folder)
        artifact.write()
        return kernel, Artifact.read(folder)

    return run


@pytest.fixture
def loaded(backend):
    def run(kernel, artifact):
        device = torch.device("cpu")
        return backend.load(artifact, LoadContext(kernel, "candidate", device, (), init_seed=0))

    return run


def contract():
    return validate(IOContract, CONTRACT).bind({})


def test_what_was_built_answers_the_same_call(compiled, loaded, builder):
    kernel, artifact = compiled(DOUBLE)
    assert builder.built == ["double"]
    assert artifact.properties["unfinished"] is None
    assert loaded(kernel, artifact)([torch.ones(2)], []).tolist() == [2, 2]
    assert builder.built == ["double"]


@pytest.mark.parametrize(
    "ask",
    [
        "from torch.utils.cpp_extension import load_inline as ask",
        "import torch.utils.cpp_extension\nask = torch.utils.cpp_extension.load_inline",
        "import torch.utils.cpp_extension as ext\nask = ext.load_inline",
        "from torch.utils import cpp_extension\nask = cpp_extension.load_inline",
    ],
)
def test_however_the_module_imports_it(compiled, loaded, builder, ask):
    kernel, artifact = compiled(f"import torch\n{ask}\nextension = ask('double', 'int f();')\n{MODEL}")
    loaded(kernel, artifact)([torch.ones(2)], [])
    assert builder.built == ["double"]


def test_the_rest_of_the_real_module_is_there(compiled):
    source = (
        HEAD + "from torch.utils.cpp_extension import CUDAExtension, include_paths\nassert include_paths()\n"
    )
    compiled(f"{source}extension = load_inline('double', 'int f();')\n{MODEL}")


def test_order_and_conditions_do_not_matter(compiled, loaded, builder):
    calls = """
import os
names = ["a", "b"] if os.environ.get("FLIPPED") is None else ["b", "a"]
made = {name: load_inline(name, f"int {name};") for name in names}
assert {name: module.NAME for name, module in made.items()} == {"a": "a", "b": "b"}
extension = made["a"]
"""
    kernel, artifact = compiled(HEAD + calls + MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLIPPED", "1")
        loaded(kernel, artifact)
    assert builder.built == ["a", "b"]


def test_the_same_call_twice_is_one_build(compiled, builder):
    compiled(f"{HEAD}for _ in range(3):\n    extension = load_inline('double', 'int f();')\n{MODEL}")
    assert builder.built == ["double"]


def test_the_jobs_own_flags_and_the_target_reach_the_builder(compiled, builder):
    compiled(DOUBLE, Target("cuda", "sm_90"), compile_options=CompileOptions(cflags=("-DX",)))
    (order,) = builder.orders
    assert order.options.cflags == ("-DX",)
    assert order.target == Target("cuda", "sm_90")
    assert order.module.read_text() == DOUBLE


def test_a_build_that_fails_is_the_modules_compile_error(compiled, builder):
    builder.refuse["double"] = "line 3: no"
    with pytest.raises(CompileFailed, match="double: line 3: no") as failed:
        compiled(DOUBLE)
    assert failed.value.output == "the compiler's words"


def test_also_where_the_module_wraps_it(compiled, builder):
    builder.refuse["double"] = "line 3: no"
    wrapped = """
try:
    extension = load_inline("double", "int f();")
except RuntimeError as error:
    raise ImportError("could not build") from error
"""
    with pytest.raises(CompileFailed, match="line 3: no"):
        compiled(HEAD + wrapped + MODEL)


def test_a_module_with_a_way_out_takes_it_both_times(compiled, loaded, builder):
    builder.refuse["double"] = "line 3: no"
    source = f"""{HEAD}
try:
    extension = load_inline("double", "int f();")
except RuntimeError as error:
    assert "line 3: no" in str(error)
    extension = None

class ModelNew(torch.nn.Module):
    def forward(self, x):
        return x if extension is None else None
"""
    kernel, artifact = compiled(source)
    builder.refuse.clear()
    assert loaded(kernel, artifact)([torch.ones(1)], []).tolist() == [1]
    assert builder.built == ["double"]


@pytest.mark.parametrize("contracts", [(), (contract(),)], ids=["get_inputs", "contract"])
@pytest.mark.parametrize("where", ["__init__", "forward"])
def test_a_model_that_builds_late_is_tried_out(compiled, loaded, builder, where, contracts):
    build = 'self.extension = load_inline("double", "int f();")'
    source = f"""{HEAD}
class ModelNew(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weights = torch.nn.Linear(width, width)
        {build if where == "__init__" else "pass"}

    def forward(self, x):
        {build if where == "forward" else "pass"}
        y = self.extension.double(x)
        assert not x.is_meta, "an extension ran while it was tried out"
        return y

def get_init_inputs():
    return [1 << 20]

def get_inputs():
    return [torch.ones(2)]
"""
    kernel, artifact = compiled(source, contracts=contracts)
    assert builder.built == ["double"]
    assert artifact.properties["unfinished"] is None
    small = kernel.model_copy(update={"source_code": source.replace("1 << 20", "1")})
    (artifact.folder / "kbd_kernel.py").write_text(small.source_code)
    assert loaded(small, artifact)([torch.ones(2)], []).tolist() == [2, 2]
    assert builder.built == ["double"]


def test_what_needs_the_device_is_left_to_the_runner(compiled, loaded, builder, capfd):
    source = f"""{HEAD}
import os
if os.environ.get("DEVICE") is None:
    raise RuntimeError("No CUDA GPUs are available")
extension = load_inline("double", "int f();")
{MODEL}"""
    kernel, artifact = compiled(source)
    assert builder.built == []
    assert "No CUDA GPUs are available" in artifact.properties["unfinished"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEVICE", "1")
        assert loaded(kernel, artifact)([torch.ones(2)], []).tolist() == [2, 2]
    assert builder.built == ["double"]
    assert "double was not built ahead" in capfd.readouterr().err


def test_questions_about_a_device_that_can_be_answered_without_it(compiled, builder):
    source = f"""{HEAD}
assert torch.cuda.is_available() and torch.cuda.device_count() == 1
major, minor = torch.cuda.get_device_capability()
extension = load_inline("double", "int f();", extra_cuda_cflags=[f"-DARCH={{major}}{{minor}}"])
{MODEL}"""
    _, artifact = compiled(source, Target("cuda", "sm_120"))
    assert artifact.properties["unfinished"] is None
    assert builder.orders[0].call.arguments["extra_cuda_cflags"] == ["-DARCH=120"]
    assert not torch.cuda.is_available() or torch.version.cuda


def test_plain_torch_needs_no_compiler(backend, compiled, loaded, builder):
    source = "import torch\n\n\ndef double(x):\n    return x + x\n"
    assert not backend.needs_compiler(KernelCode(kernel_type="torch_cuda", source_code=source))
    kernel, artifact = compiled(source)
    assert loaded(kernel, artifact)([torch.ones(1)], []).tolist() == [2]
    assert builder.built == []


def test_a_module_that_python_cannot_read(compiled):
    with pytest.raises(CompileFailed, match="line 3"):
        compiled(HEAD + "def (")


def test_what_cannot_be_built_here_is_unsupported(folder, long_tests):
    """nvcc takes 20 seconds to read the headers that are included by themselves."""
    source = "'#include <cuda_runtime.h>\\n#include <c10/util/Half.h>'"
    call = f"load_inline('x', '', {source}, no_implicit_headers={not long_tests})"
    kernel = KernelCode(kernel_type="torch_cuda", source_code=HEAD + call)
    if torch.version.cuda is not None:
        pytest.skip("this PyTorch has CUDA")
    with pytest.raises(Unsupported, match="built for the CPU"):
        TorchCudaBackend().compile(CompileRequest(kernel, CPU), folder)


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "ninja" in TorchCudaBackend().why_unavailable(CPU)
