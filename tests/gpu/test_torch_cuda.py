"""Modules with CUDA in them, in all the ways that PyTorch lets people write them; built once, found again."""

import json
import textwrap

import pytest

REFERENCE = """
import torch

class Model(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x) + 1
"""
IO = {
    "args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [1000, 257], "dtype": "float32"}}],
}
HEAD = "import torch\nfrom torch.utils.cpp_extension import load, load_inline\n"
KERNEL = """
__global__ void shifted_relu_kernel(const float* x, float* y, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] = (x[i] > 0 ? x[i] : 0) + SHIFT;
}
"""
LAUNCH = """
#include <c10/cuda/CUDAStream.h>
torch::Tensor shifted_relu(torch::Tensor x) {
    auto y = torch::empty_like(x);
    int64_t n = x.numel();
    shifted_relu_kernel<<<(n + 255) / 256, 256, 0, c10::cuda::getCurrentCUDAStream()>>>(
        x.data_ptr<float>(), y.data_ptr<float>(), n);
    return y;
}
"""
DECLARED = "torch::Tensor shifted_relu(torch::Tensor x);"
MODEL = """
class ModelNew(torch.nn.Module):
    def forward(self, x):
        return extension.shifted_relu(x)
"""
BINDING = """
PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
    m.def("shifted_relu", &shifted_relu, "by hand");
}
"""
DISPATCH = """
template <typename scalar_t>
__global__ void shifted_relu_kernel(const scalar_t* x, scalar_t* y, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] = (x[i] > scalar_t(0) ? x[i] : scalar_t(0)) + scalar_t(1);
}

#include <c10/cuda/CUDAStream.h>
torch::Tensor shifted_relu(torch::Tensor x) {
    auto y = torch::empty_like(x);
    int64_t n = x.numel();
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "shifted_relu", [&] {
        shifted_relu_kernel<scalar_t><<<(n + 255) / 256, 256, 0, c10::cuda::getCurrentCUDAStream()>>>(
            x.data_ptr<scalar_t>(), y.data_ptr<scalar_t>(), n);
    });
    return y;
}
"""
SIMPLE = (KERNEL + LAUNCH).replace("SHIFT", "1")


def module(*statements, model=MODEL):
    return HEAD + "\n".join(textwrap.dedent(statement) for statement in statements) + model


def literal(name, text):
    return f'{name} = r"""{text}"""'


MODULES = {
    "functions": module(
        literal("cuda", SIMPLE),
        f'extension = load_inline("relu", "{DECLARED}", cuda, functions=["shifted_relu"])',
    ),
    "by-hand": module(
        literal("cuda", SIMPLE),
        literal("cpp", f"{DECLARED}\n{BINDING}"),
        'extension = load_inline(name="by_hand", cpp_sources=[cpp], cuda_sources=[cuda])',
    ),
    "several-sources": module(
        literal("first", KERNEL.replace("SHIFT", "1")),
        literal("second", LAUNCH),
        literal("declared", DECLARED),
        literal("bound", BINDING),
        'extension = load_inline("several", [declared, bound], [first, second])',
    ),
    "dispatch": module(
        literal("cuda", DISPATCH),
        f'extension = load_inline("dispatch", "{DECLARED}", cuda, functions=["shifted_relu"])',
    ),
    "flags": module(
        literal("cuda", KERNEL + LAUNCH),
        f"""
        extension = load_inline(
            "flags", "{DECLARED}", cuda, functions=["shifted_relu"],
            extra_cuda_cflags=["-O3", "--use_fast_math", "-DSHIFT=ONE"], extra_cflags=["-O2"], verbose=True,
        )
        """,
    ),
    "two-extensions": module(
        literal("cuda", SIMPLE),
        f"""
        first = load_inline("same", "{DECLARED}", cuda, functions=["shifted_relu"])
        extension = load_inline("same", "{DECLARED}", cuda + "// another", functions=["shifted_relu"])
        assert first is not extension
        """,
    ),
    "files": module(
        literal("cuda", "#include <torch/extension.h>\n" + SIMPLE),
        literal("cpp", f"#include <torch/extension.h>\n{DECLARED}\n{BINDING}"),
        """
        import pathlib, tempfile
        folder = pathlib.Path(tempfile.mkdtemp())
        (folder / "relu.cu").write_text(cuda)
        (folder / "relu.cpp").write_text(cpp)
        extension = load("files", [str(folder / "relu.cpp"), str(folder / "relu.cu")])
        """,
    ),
    "constructed": module(
        literal("cuda", SIMPLE),
        model=f"""
class ModelNew(torch.nn.Module):
    def __init__(self):
        super().__init__()
        major, minor = torch.cuda.get_device_capability()
        self.extension = load_inline(
            "constructed", "{DECLARED}", cuda, functions=["shifted_relu"],
            extra_cuda_cflags=[f"-DARCHITECTURE={{major}}{{minor}}"],
        )

    def forward(self, x):
        return self.extension.shifted_relu(x)
""",
    ),
    "needs-the-device": module(
        "shift = int(torch.ones(1, device='cuda').item())",
        literal("cuda", KERNEL + LAUNCH),
        f"""
        extension = load_inline(
            "needs", "{DECLARED}", cuda, functions=["shifted_relu"], extra_cuda_cflags=[f"-DSHIFT={{shift}}"]
        )
        """,
    ),
}
OPTIONS = {"flags": {"cuda_cflags": ["-DONE=1"]}}
BROKEN = MODULES["functions"].replace("y[i] = ", "y[i] = nowhere + ")


def job(source, *, timeout=500, options=None):
    candidate = {"kernel_type": "torch_cuda", "source_code": source, "compile_options": options or {}}
    reference = {"kernel_type": "torch", "source_code": REFERENCE}
    return json.dumps(
        {"version": 1, "reference": reference, "candidate": candidate, "io": IO, "timeout": timeout}
    )


def run(daemon, jobs):
    for name, text in jobs.items():
        daemon.deliver(f"{name}.json", text)
    process = daemon.start("--once", device="cuda")
    output, _ = process.communicate(timeout=550)
    assert process.returncode == 0, output.decode()
    return daemon.results()


def forked(daemon):
    return sum(record.get("action") == "compiler_forked" for record in daemon.log())


@pytest.fixture(scope="module")
def daemon(make_daemon):
    return make_daemon()


@pytest.fixture(scope="module")
def results(daemon):
    jobs = {name: job(source, options=OPTIONS.get(name)) for name, source in MODULES.items()}
    legacy = {"ref_code": REFERENCE + GET_INPUTS, "custom_code": MODULES["dispatch"], "num_trials": 20}
    return run(daemon, jobs | {"broken": job(BROKEN), "legacy": json.dumps(legacy | {"timeout": 500})})


GET_INPUTS = """
def get_inputs():
    return [torch.randn(64, 33)]

def get_init_inputs():
    return []
"""


@pytest.mark.xdist_group("gpu")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [*MODULES, "legacy"])
def test_it_passes_and_was_built_before_a_device_was_taken(results, name):
    result = results[name]
    assert result["status"] == "passed", result["error"]
    assert result["compiled"] is True
    assert result["timings_s"]["compile"] > 0
    built_late = any("built where it was loaded" in note for note in result["notes"])
    assert built_late == (name == "needs-the-device"), result["notes"]


@pytest.mark.xdist_group("gpu")
@pytest.mark.timeout(900)
def test_a_cuda_error_names_the_line_of_the_module(results):
    result = results["broken"]
    line = next(number for number, text in enumerate(BROKEN.splitlines(), 1) if "nowhere" in text)
    assert (result["status"], result["stage"]) == ("compile_error", "compile")
    assert f"line {line}: " in result["error"]["message"]
    assert "nowhere" in result["error"]["message"]


@pytest.mark.xdist_group("gpu")
@pytest.mark.timeout(900)
def test_no_device_is_held_during_any_build(results, daemon):
    del results
    stages = [record for record in daemon.log() if record.get("action") == "stage"]
    for name in MODULES:
        of_job = [record["stage"] for record in stages if record["job"] == name]
        assert of_job.index("compile") < of_job.index("correctness")
    # A device that a compiler held could not have judged anything between the forks of compilers and their ends.
    attempts = {
        record["job"]: record["device"] for record in daemon.log() if record.get("action") == "attempt"
    }
    assert set(attempts.values()) == {"compiler"}


@pytest.mark.xdist_group("gpu")
@pytest.mark.timeout(900)
def test_the_second_time_no_compiler_runs(results, daemon):
    del results
    before = forked(daemon)
    names = [name for name in MODULES if name != "needs-the-device"]
    again = run(daemon, {f"{n}-again": job(MODULES[n], options=OPTIONS.get(n)) for n in names})
    assert forked(daemon) == before
    assert {again[f"{name}-again"]["status"] for name in names} == {"passed"}


@pytest.mark.xdist_group("gpu")
@pytest.mark.timeout(900)
def test_a_build_that_was_killed_works_at_the_next_try(daemon):
    source = MODULES["functions"].replace('"relu"', '"killed"')
    first = run(daemon, {"killed": job(source, timeout=5)})["killed"]
    assert (first["status"], first["stage"]) == ("timeout", "compile")
    assert run(daemon, {"unkilled": job(source)})["unkilled"]["status"] == "passed"


@pytest.mark.xdist_group("gpu")
def test_compiling_alone_for_another_architecture(daemon):
    document = json.loads(job(MODULES["functions"].replace('"relu"', '"elsewhere"')))
    document |= {"device": {"arch": "sm_80"}, "evaluation": {"mode": "compile"}}
    result = run(daemon, {"elsewhere": json.dumps(document)})["elsewhere"]
    assert (result["status"], result["compiled"], result["device"]) == ("passed", True, None)
