"""Parameters of CUDA kernels, read from source that people write, and contracts that do not fit them."""

import pytest

from kbd.backends.base import CompileFailed
from kbd.backends.cuda_checks import check_arguments
from kbd.backends.cuda_source import parameters_of, resolved
from kbd.inbox.contract import IOContract
from kbd.inbox.validation import validate


def read(parameters, prefix="__global__ void", name="f"):
    return parameters_of(f"{prefix} {name}({parameters}) {{ }}", "f")


@pytest.mark.parametrize(
    ("written", "is_pointer", "passed_as"),
    [
        ("float* x", True, "c_float"),
        ("const float *__restrict__ x", True, "c_float"),
        ("float x[]", True, "c_float"),
        ("double const* const x", True, "c_double"),
        ("__half* x", True, "half"),
        ("void* x", True, None),
        ("float4* x", True, None),
        ("int n", False, "c_int32"),
        ("const int n", False, "c_int32"),
        ("unsigned n", False, "c_uint32"),
        ("unsigned int", False, "c_uint32"),
        ("std::size_t n", False, "c_uint64"),
        ("long long n", False, "c_int64"),
        ("const unsigned long long int n", False, "c_uint64"),
        ("uint8_t n = 3", False, "c_uint8"),
        ("signed char n", False, "c_int8"),
        ("bool flag", False, "c_bool"),
        ("__nv_bfloat16 b", False, "bfloat16"),
        ("scalar_t s", False, None),
        ("T", False, None),
    ],
)
def test_types(written, is_pointer, passed_as):
    (found,) = read(written)
    assert (found.is_pointer, found.passed_as) == (is_pointer, passed_as)


@pytest.mark.parametrize(
    ("written", "parameter", "is_pointer", "passed_as"),
    [
        ("typedef float scalar_t;", "const scalar_t s", False, "c_float"),
        ("typedef unsigned   long long int wide;", "wide n", False, "c_uint64"),
        ("typedef float *numbers;", "numbers x", True, "c_float"),
        ("using real = double;", "real s", False, "c_double"),
        ("using real = double;", "const real* __restrict__ x", True, "c_double"),
        ("#define DTYPE __half", "DTYPE* x", True, "half"),
        ("#define DTYPE double  // for now", "DTYPE s", False, "c_double"),
        ("using a = int; using b = a; typedef b c;", "c n", False, "c_int32"),
        ("#define T T", "T s", False, None),
        ("using a = b; using b = a;", "a s", False, None),
        ("#ifdef F\n#define R float\n#else\n#define R double\n#endif", "R s", False, None),
        ("// typedef float scalar_t;", "scalar_t s", False, None),
        ("typedef float4 vector;", "vector v", False, None),
        ("template <typename T> struct Box { using real = float; };", "Box<int>::real s", False, None),
    ],
)
def test_names_of_types_are_followed(written, parameter, is_pointer, passed_as):
    source = f'{written}\nextern "C" __global__ void f({parameter}) {{ }}'
    (found,) = parameters_of(source, "f")
    assert (found.is_pointer, found.passed_as) == (is_pointer, passed_as)


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ("", 0),
        ("void", 0),
        ("int a, int b", 2),
        ("Pair<int, float> p, int b", 2),
        ("int a, void (*g)(int, int)", 2),
    ],
)
def test_how_many(parameters, count):
    assert len(read(parameters)) == count


@pytest.mark.parametrize(
    "prefix",
    [
        "__global__ void __launch_bounds__(256, 2)",
        "template <typename T>\n__global__ void",
        'extern "C" __global__ void',
        "/* __global__ void f(double d) */ __global__ void g(char c);\n__global__ static void",
        '__device__ void h() { printf("__global__ void f("); }\n__global__ void',
    ],
)
def test_the_kernel_is_found_among_what_surrounds_it(prefix):
    assert [one.passed_as for one in read("int n, float* x", prefix)] == ["c_int32", "c_float"]


@pytest.mark.parametrize(
    "source", ["", "__global__ void g(int n) {}", "__global__ void f(int n", "void f(int n) {}"]
)
def test_what_cannot_be_read_is_left_to_the_compiler(source):
    assert parameters_of(source, "f") is None


def contract(*args):
    kinds = {
        "tensor": {"type": "tensor", "tensor_spec": {"shape": [4], "dtype": "float32"}},
        "half": {"type": "tensor", "tensor_spec": {"shape": [4], "dtype": "float16"}},
        "int8": {"type": "tensor", "tensor_spec": {"shape": [4], "dtype": "int8", "init": {"kind": "zeros"}}},
        "int": {"type": "int", "value": 4},
        "str": {"type": "str", "value": "a"},
    }
    return validate(IOContract, {"args": [{"name": f"a{n}", **kinds[k]} for n, k in enumerate(args)]}).bind(
        {}
    )


@pytest.mark.parametrize(
    ("parameters", "args"),
    [
        ("const float* x, int n", ("tensor", "int")),
        ("int* packed", ("int8",)),
        ("unsigned short* bits", ("half",)),
        ("void* x", ("half",)),
        ("T* x, T s", ("half", "int")),
        ("Tensor x", ("tensor",)),
    ],
)
def test_what_fits(parameters, args):
    check_arguments("f", read(parameters), contract(*args))


@pytest.mark.parametrize(
    ("parameters", "args", "message"),
    [
        ("float* x", ("tensor", "int"), r"f\(float\* x\) takes 1 arguments, the contract has 2: a0, a1"),
        ("float* x", ("half",), "expected elements of 4 bytes for float\\* x, found a0 of float16"),
        ("float* x", ("int",), "expected a tensor for float\\* x, found int a0"),
        ("int n", ("tensor",), "expected a number for int n, found tensor a0"),
        ("int n", ("str",), "a0 is text"),
    ],
)
def test_what_does_not_fit(parameters, args, message):
    with pytest.raises(CompileFailed, match=message):
        check_arguments("f", read(parameters), contract(*args))


def test_nothing_is_said_of_parameters_that_are_not_known():
    check_arguments("f", None, contract("int", "int"))


@pytest.mark.parametrize(
    ("written", "symbol", "types"),
    [
        (
            "T* x, T by, N n",
            "void ns::f<double, (int)3>(double*, double, int)",
            ["c_double", "c_double", "c_int32"],
        ),
        ("T* x, T by, N n", "f(__half const*, __half, unsigned long)", ["half", "half", "c_uint64"]),
        ("float* x, F by, int n", "f(float*, float (*)(int, int), int)", ["c_float", None, "c_int32"]),
        ("float* x, T by, int n", "f(float*, int)", ["c_float", None, "c_int32"]),
        ("float* x, T by, int n", "f", ["c_float", None, "c_int32"]),
    ],
)
def test_types_that_only_the_compiler_knows(written, symbol, types):
    parameters = read(written)
    found = resolved(parameters, symbol)
    assert [parameter.passed_as for parameter in found] == types
    assert [parameter.text for parameter in found] == [parameter.text for parameter in parameters]


def test_parameters_that_cannot_be_read_are_those_of_the_symbol():
    x, n = resolved(None, "f(float const*, long)")
    assert (x.is_pointer, x.passed_as, n.passed_as) == (True, "c_float", "c_int64")
    assert resolved(None, "f") is None
    assert resolved(None, "f()") == []
