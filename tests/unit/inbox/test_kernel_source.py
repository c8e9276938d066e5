import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.inbox.kernel_source import (
    cuda_kernels,
    defines,
    has_python_entry,
    makes_streams,
    triton_kernels,
    uses_dynamic_shared_memory,
)

CUDA = r"""
// __global__ void commented(int x) {}
/* __global__ void also_commented(int x) {} */
const char* text = "__global__ void quoted(int x) {}";
__device__ float helper(float x) { return x; }
__global__ void declared(float* x);
extern "C" __global__ void plain(float* x, int n) { __shared__ float tile[32]; }
template <typename T, int N>
__global__ __launch_bounds__(256, (N > 2) ? 4 : 2) void templated(const T* x) {}
__global__ void
__launch_bounds__(128)
broken_over_lines(
    float* x) {}
template __global__ void templated<float, 4>(const float* x);
__global__ void declared(float* x) {}
"""

TRITON = """
import triton
from triton import jit

@triton.jit
def helper(x):
    return x + 1

@triton.autotune(
    configs=[], key=["n"],
)
@triton.jit
def first(x, n, BLOCK: tl.constexpr):
    helper(x)

@jit
def second(x):
    pass
"""


def test_cuda_kernels_are_found():
    assert cuda_kernels(CUDA) == ("declared", "plain", "templated", "broken_over_lines")


def test_no_kernel():
    assert cuda_kernels("int main() {}") == ()
    assert cuda_kernels("") == ()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("extern __shared__ float s[];", True),
        ("extern __shared__ __align__(16) unsigned char s[];", True),
        ("extern __align__(16) __shared__ float s[];", True),
        ("__shared__ extern float s[];", True),
        ("extern volatile __shared__ int s[];", True),
        ("extern\n  __shared__ float s[];", True),
        ("__shared__ float s[32];", False),
        ("// extern __shared__ float s[];", False),
        ('extern "C" __global__ void k() { __shared__ float s[4]; }', False),
    ],
)
def test_dynamic_shared_memory(source, expected):
    assert uses_dynamic_shared_memory(source) is expected


def test_triton_kernels_are_those_that_nobody_calls():
    assert triton_kernels(TRITON) == ("first", "second")


@pytest.mark.parametrize(
    ("decorator", "is_triton"),
    [
        ("@triton.jit", True),
        ("@triton.jit(debug=True)", True),
        ("@jit  # of Triton", True),
        ("@torch.jit.script", False),
        ("@torch.jit.script_if_tracing", False),
        ("@jit.script", False),
        ("@numba.jit", False),
        ("@jax.jit", False),
    ],
)
def test_others_have_a_jit_too(decorator, is_triton):
    source = f"{decorator}\ndef kernel(x):\n    pass\n"
    assert triton_kernels(source) == (("kernel",) if is_triton else ())
    assert has_python_entry(source) is not is_triton


def test_kernels_that_call_each_other_are_all_named():
    source = "@triton.jit\ndef a(x):\n    b(x)\n@triton.jit\ndef b(x):\n    a(x)\n"
    assert triton_kernels(source) == ("a", "b")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (TRITON, False),
        (TRITON + "\ndef run(x):\n    first[(1,)](x)\n", True),
        (TRITON + "\nclass Model:\n    pass\n", True),
        ("x = 1", False),
        ("if x:\n    def inner(): pass\n", False),
    ],
)
def test_python_entries(source, expected):
    assert has_python_entry(source) is expected


def test_definitions_are_not_mentions():
    assert defines("class ModelNew(nn.Module):\n    pass", "Model", "ModelNew")
    assert defines("def get_inputs():\n    pass", "get_inputs")
    assert not defines("x = get_inputs()", "get_inputs")
    assert not defines("class ModelNewer: pass", "ModelNew")


@given(st.text("_gloabextrnshd (){};<>\"'\\/*@.jitdef\n", max_size=200))
def test_any_text_can_be_scanned(source):
    cuda_kernels(source)
    uses_dynamic_shared_memory(source)
    triton_kernels(source)
    has_python_entry(source)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    [
        "__global__ ",
        "/*",
        '"\\',
        "'",
        "extern ",
        "__launch_bounds__(",
        "@triton.jit\n",
        "def ",
        "a(",
        "def\t",
    ],
)
def test_no_text_makes_a_scan_start_over_and_over(piece):
    source = piece * (1_000_000 // len(piece))
    cuda_kernels(source)
    uses_dynamic_shared_memory(source)
    triton_kernels(source)
    has_python_entry(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("side = torch.cuda.Stream()", True),
        ("from torch.cuda import Stream as Queue", True),
        ("cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking);", True),
        ("auto side = at::cuda::getStreamFromPool();", True),
        ("kernel<<<grid, block, 0, at::cuda::getCurrentCUDAStream()>>>(x);", False),
        ("cudaStream_t stream = at::cuda::getCurrentCUDAStream();", False),
        ("torch.cuda.current_stream().synchronize()", False),
        ("return x + 1", False),
    ],
)
def test_streams_of_its_own_are_seen_and_the_current_one_is_not_one(source, expected):
    assert makes_streams(source) is expected
