"""Documents to begin with, and what becomes of them when something is changed somewhere."""

import base64
import zlib

from hypothesis import strategies as st

MODULE = "class Model:\n    pass\n\ndef get_inputs():\n    return []\n"
CUDA = "__global__ void add(const float* x, float* y, int n) { extern __shared__ float s[]; }"
RAW = base64.b64encode(bytes(16)).decode()
PACKED = base64.b64encode(zlib.compress(bytes(16))).decode()
TENSOR = {"shape": ["M", "ceildiv(N, 2) * 2"], "dtype": "float32", "init": {"kind": "randn", "seed": 3}}
IO = {
    "args": [
        {"name": "x", "type": "tensor", "tensor_spec": {**TENSOR, "strides": ["N", 1]}},
        {
            "name": "y",
            "type": "tensor",
            "role": "output",
            "tensor_spec": {"shape": ["M"], "tolerance": {"atol": 1}},
        },
        {"name": "n", "type": "int", "value": "M * N"},
        {"name": "B", "type": "int", "value": 32, "is_meta": True},
    ],
    "launch": {"grid": {"x": "ceildiv(N, B)"}, "block": [256], "shared_mem_bytes": 1024, "num_warps": 4},
}
LITERAL = {
    "args": [
        {
            "name": "x",
            "type": "tensor",
            "tensor_spec": {"shape": [4], "data": {"data_b64": RAW, "shape": [4]}},
        },
        {
            "name": "z",
            "type": "tensor",
            "tensor_spec": {
                "shape": [2, 8],
                "dtype": "int8",
                "data": {"data_b64": PACKED, "compress": "zlib", "dtype": "int8", "shape": [2, 8]},
            },
        },
        {
            "name": "f",
            "type": "tensor",
            "role": "inout",
            "tensor_spec": {"shape": [3], "data": {"file": "x.npy"}},
        },
    ]
}
CONTRACTS = (IO, LITERAL)
NATIVE = {
    "version": 1,
    "id": "job-1",
    "labels": {"owner": "me"},
    "priority": 3,
    "reference": {"kernel_type": "torch", "source_code": MODULE, "metadata": {"class_name": "Model"}},
    "candidate": {"kernel_type": "cuda", "source_code": CUDA, "compile_options": {"cuda_cflags": ["-O3"]}},
    "io": IO,
    "workloads": [
        {"name": "small", "axes": {"M": 4, "N": 8}},
        {"name": "large", "axes": {"M": 64, "N": 128}},
    ],
    "evaluation": {
        "num_trials": 3,
        "seed": 7,
        "tolerance": {"rtol": 1e-3},
        "device_metrics": {"enabled": False},
    },
    "device": {"kind": "cuda", "name": "*H100*", "arch": "sm_90"},
    "timeout": 60,
}
KERNEL = {"kernel_type": "torch", "source_code": MODULE, "io": LITERAL}
JOBS = (
    NATIVE,
    {"candidate": {"kernel_type": "torch", "source_code": MODULE}, "io": LITERAL},
    {"ref_kernel": KERNEL, "custom_kernel": KERNEL, "num_trials": 10, "timeout": 5, "atol": 0.1, "rtol": 0.1},
    {"kernel": KERNEL, "num_trials": 10, "timeout": 5},
    {"ref_code": MODULE, "custom_code": MODULE, "num_trials": 10},
    {"reference": {"source_code": MODULE}, "candidate": {"source_code": MODULE}},
    {"manifest": {**NATIVE, "id": "other"}},
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 65), 1 << 65)
    | st.sampled_from([0, 1, -1, 255, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 64, 1e308, -0.5, 1e-320])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["M", "-N", "M // 0", "M" * 65, "max(M, N", "x.npy", "a/../b.npy", "x.safetensors#", "\x00", "{}"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """The paths of everything in a document."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(value, path, new):
    """A document with one of its parts replaced; `...` removes it."""
    if not path:
        return None if new is ... else new
    key, rest = path[0], path[1:]
    if isinstance(value, list):
        changed = list(value)
        if rest or new is not ...:
            changed[key] = replaced(changed[key], rest, new)
        else:
            del changed[key]
        return changed
    changed = dict(value)
    if rest or new is not ...:
        changed[key] = replaced(changed[key], rest, new)
    else:
        del changed[key]
    return changed


def part(value, path):
    """What lies at a path."""
    for key in path:
        value = value[key]
    return value


@st.composite
def changed(draw, documents, most=3):
    """One of the documents, with up to `most` parts removed, exchanged with another part, or made up."""
    document = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(0, most))):
        where = draw(st.sampled_from(list(places(document))))
        other = part(document, draw(st.sampled_from(list(places(document)))))
        new = draw(st.just(...) | VALUES | st.just(other))
        extra = draw(st.none() | st.text(max_size=6))
        if extra is not None and isinstance(here := part(document, where), dict):
            new = {**here, extra: draw(VALUES)}
        document = replaced(document, where, new)
    return document
