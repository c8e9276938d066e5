"""What can be seen in the source text of a kernel without compiling it.

Only for messages that come earlier than a compiler's, never for a verdict. Users' text is scanned in linear time
and is given to no parser that could be made to crash.
"""

import re

_MAX_KERNELS = 64
_SIGNATURE_CHARACTERS = 2000

# An unterminated comment or string goes to the end, so that no text makes the scan start over again and again.
_CPP_NOISE = re.compile(
    r"""//[^\n]*
      | /\*.*?(?:\*/|\Z)
      | "(?:\\.|[^"\\\n])*"?
      | '(?:\\.|[^'\\\n]){1,4}'""",
    re.VERBOSE | re.DOTALL,
)
_CPP_ATTRIBUTE = re.compile(
    r"(?:__launch_bounds__|__cluster_dims__|__maxnreg__|__align__|alignas)\s*\([^()]{0,200}(?:\([^()]{0,200}\)[^()]{0,200}){0,4}\)"
)
_DYNAMIC_SHARED = re.compile(r"\bextern\s+(?:volatile\s+)?__shared__\b|\b__shared__\s+extern\b")
_UNKNOWN_ELEMENT_BYTES, _UNSIGNED_BYTES = 8, 4
_ELEMENT_BYTES = {
    **dict.fromkeys(("char", "bool", "int8_t", "uint8_t"), 1),
    **dict.fromkeys(("half", "__half", "__nv_bfloat16", "nv_bfloat16", "short", "int16_t", "uint16_t"), 2),
    **dict.fromkeys(("float", "int", "int32_t", "uint32_t", "half2", "__half2"), 4),
    **dict.fromkeys(("double", "long", "int64_t", "uint64_t", "size_t", "float2", "int2"), 8),
    **dict.fromkeys(("float4", "int4", "double2"), 16),
}
_MAKES_STREAMS = re.compile(r"\bStream\b|StreamCreate|StreamFromPool|create_stream")
_ATOMIC = re.compile(r"\batomic_?[A-Za-z]|\bred\.")
_JIT = re.compile(r"[ \t]*@(?!(?:torch|numba|nb|jax)\.)(?:\w+\.){0,3}jit\b(?!\.)")
_DEF = re.compile(r"[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)")
_CLASS = re.compile(r"[ \t]*class[ \t]+(\w+)")


def cuda_kernels(source: str) -> tuple[str, ...]:
    """Names of the `__global__` functions in CUDA C++, in their order; each once."""
    return _global_functions(plain_cpp(source))


def embedded_cuda_kernels(source: str) -> tuple[str, ...]:
    """Names of the `__global__` functions in the CUDA C++ that a Python module holds as text."""
    return _global_functions(_CPP_ATTRIBUTE.sub(" ", source))


def _global_functions(text: str) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for piece in text.split("__global__", _MAX_KERNELS)[1:]:
        signature = re.split(r"[({;}]", piece[:_SIGNATURE_CHARACTERS], maxsplit=1)[0]
        words = re.findall(r"\w+", signature.partition("<")[0])
        if words:
            names[words[-1]] = None
    return tuple(names)


def makes_streams(source: str) -> bool:
    """Whether a kernel seems to make CUDA streams of its own, beside the current one that everybody uses."""
    return _MAKES_STREAMS.search(source) is not None


def uses_dynamic_shared_memory(source: str) -> bool:
    """Whether CUDA C++ declares an `extern __shared__` array."""
    return _DYNAMIC_SHARED.search(plain_cpp(source)) is not None


def dynamic_shared_element_bytes(source: str) -> int | None:
    """Size of one element of the `extern __shared__` array; None when there is none. Unknown types count as 8."""
    match = _DYNAMIC_SHARED.search(text := plain_cpp(source))
    if match is None:
        return None
    declared = _CPP_ATTRIBUTE.sub(" ", text[match.end() : match.end() + 200]).partition("[")[0]
    words = re.findall(r"\w+", declared)[:-1]
    sizes = [_ELEMENT_BYTES[word] for word in words if word in _ELEMENT_BYTES]
    if not sizes:
        return _UNSIGNED_BYTES if "unsigned" in words else _UNKNOWN_ELEMENT_BYTES
    return max(sizes)


def accumulates(source: str) -> bool:
    """Whether a kernel in CUDA C++ or Triton adds to memory with atomics, so that what lay there before matters."""
    return _ATOMIC.search(source) is not None


def triton_kernels(source: str) -> tuple[str, ...]:
    """Names of the `@triton.jit` functions that no other code of the module calls, in their order.

    Device functions are called, `helper(x)`; kernels are launched, `kernel[grid](x)`. Where each one is called
    by another, all are named.
    """
    names: dict[str, None] = {}
    is_jit = False
    for line in source.split("\n"):
        if _JIT.match(line):
            is_jit = True
        elif match := _DEF.match(line):
            if is_jit:
                names[match[1]] = None
            is_jit = False
    called = _called_names(source)
    return tuple(name for name in names if name not in called) or tuple(names)


def has_python_entry(source: str) -> bool:
    """Whether a Python module defines a class, or a function at its top level that is no `@triton.jit`."""
    is_jit = False
    for line in source.split("\n"):
        if _CLASS.match(line):
            return True
        if _JIT.match(line):
            is_jit = True
        elif _DEF.match(line):
            if not is_jit and not line[0].isspace():
                return True
            is_jit = False
    return False


def defines(source: str, *names: str) -> bool:
    """Whether a Python module has a class or function of one of these names."""
    found = {match[1] for line in source.split("\n") if (match := _CLASS.match(line) or _DEF.match(line))}
    return not found.isdisjoint(names)


def plain_cpp(source: str) -> str:
    """CUDA C++ without comments, literals and attributes with arguments."""
    return _CPP_ATTRIBUTE.sub(" ", _CPP_NOISE.sub(" ", source))


def _called_names(source: str) -> set[str]:
    calls = re.finditer(r"\b(?:(def)[ \t]+)?(?<![.\w])(\w+)\(", source)
    return {match[2] for match in calls if match[1] is None}
