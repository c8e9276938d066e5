"""NVRTC, CUDA's compiler as a library: found where CUDA or a package of NVIDIA's has put it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from kbd.backends.python_source import why_not_installed


@cache
def why_no_nvrtc() -> str | None:
    """None where NVRTC can be used, else what is missing."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return why_not_installed("cuda.bindings" if find_spec("cuda") else "cuda", "cuda-bindings")
    from cuda.bindings import nvrtc

    try:
        nvrtc.nvrtcVersion()
    except Exception as error:  # noqa: BLE001 - every version of the bindings has an exception of its own for this
        return f"NVRTC is not found: {str(error).splitlines()[0]}"
    return None


def compile_with_nvrtc(
    source: str, name: str, options: Sequence[str], instances: Sequence[str]
) -> tuple[bytes | None, str]:
    """Machine code (None when it does not compile) and what the compiler said. `instances` are of templates."""
    from cuda.bindings import nvrtc

    flags = [option.encode() for option in (*options, *(f"-I{path}" for path in include_folders()))]
    _, program = nvrtc.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], [])
    try:
        for expression in instances:
            nvrtc.nvrtcAddNameExpression(program, expression.encode())
        (result,) = nvrtc.nvrtcCompileProgram(program, len(flags), flags)
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = b" " * size
        nvrtc.nvrtcGetProgramLog(program, log)
        said = log.rstrip(b"\0 ").decode("utf-8", "replace")
        if int(result):
            return None, said or f"NVRTC answered {result}"
        _, size = nvrtc.nvrtcGetCUBINSize(program)
        binary = b" " * size
        nvrtc.nvrtcGetCUBIN(program, binary)
        return binary, said
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def include_folders() -> list[Path]:
    """Where CUDA's headers may be; NVRTC has none of its own."""
    return [path for path in _candidates() if (path / "cuda_fp16.h").exists()][:1]


def _candidates() -> Iterator[Path]:
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if home := os.environ.get(variable):
            yield Path(home) / "include"
    yield Path("/usr/local/cuda/include")
    if (nvidia := find_spec("nvidia")) is not None:
        for root in map(Path, nvidia.submodule_search_locations or ()):
            yield from sorted(root.glob("*/include"))
