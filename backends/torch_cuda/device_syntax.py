"""CUDA sources of an extension where PyTorch has no CUDA: nvcc reads them, so that what is wrong with them is said.

Nothing can be linked or run there. An error counts only where it lies in the user's own text and no header is
missing: PyTorch without CUDA lacks some, and what follows from that is nobody's fault.
"""

from __future__ import annotations

import inspect
import re
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kbd.backends.shown_process import run_shown
from kbd.backends.torch_cuda.compiler_output import first_error_in, without_commands
from kbd.backends.torch_cuda.cpp_extension import real_cpp_extension
from kbd.backends.torch_cuda.extension_call import CUDA_SUFFIXES, ExtensionCall, listed

LIMIT_S: Final = 60.0
DEFAULT_ARCH: Final = "compute_90"
HEADERS: Final = "#include <torch/types.h>\n#include <cuda.h>\n#include <cuda_runtime.h>\n"


@dataclass(frozen=True)
class SyntaxProblem:
    """The first error in the user's text, and all that nvcc said."""

    cause: str
    output: str


def problem_in_device_code(
    call: ExtensionCall, arguments: Mapping[str, Any], nvcc: str, arch: str | None, folder: Path, module: str
) -> SyntaxProblem | None:
    """Compile each CUDA source to PTX and throw that away. `arguments` are the call's, as they would be built."""
    for source in _sources(call, arguments, folder):
        command = [nvcc, "-ptx", *_flags(arguments, arch), str(source), "-o", "read.ptx"]
        done = run_shown(command, cwd=folder, limit_s=LIMIT_S)
        if done.returncode <= 0:
            continue
        output = done.stdout.decode(errors="replace")
        if cause := first_error_in(output, module, source.name):
            return SyntaxProblem(cause, without_commands(output))
    return None


def _sources(call: ExtensionCall, arguments: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    if call.function == "load":
        paths = [Path(path).absolute() for path in listed(arguments.get("sources"))]
        yield from (path for path in paths if path.suffix in CUDA_SUFFIXES)
    elif texts := listed(arguments.get("cuda_sources")):
        headers = "" if arguments.get("no_implicit_headers") else HEADERS
        path = folder / "cuda.cu"
        path.write_text(headers + "\n".join(texts), encoding="utf-8")
        yield path


def _flags(arguments: Mapping[str, Any], arch: str | None) -> Sequence[str]:
    """Those of PyTorch's own build, as far as they matter to what is read."""
    real = real_cpp_extension()
    own = [str(flag) for flag in listed(arguments.get("extra_cuda_cflags"))]
    flags = [f"-DTORCH_EXTENSION_NAME={arguments['name']}", "-DTORCH_API_INCLUDE_EXTENSION_H"]
    flags += [f"-I{Path(path).absolute()}" for path in listed(arguments.get("extra_include_paths"))]
    for path in (*real.include_paths(), sysconfig.get_path("include")):
        flags += ["-isystem", str(path)]
    flags += real.COMMON_NVCC_FLAGS
    if not any("arch" in flag for flag in own):
        flags.append(f"-arch={arch.replace('sm_', 'compute_') if arch else DEFAULT_ARCH}")
    if not any(flag.startswith(("-std", "--std")) for flag in own):
        flags.append(f"-std={_standard(real)}")
    return [*flags, *own]


def _standard(cpp_extension: Any) -> str:
    """The C++ standard that this PyTorch's headers are written for, as its build says."""
    build = cpp_extension._write_ninja_file_to_build_library  # noqa: SLF001
    found = re.search(r"-std=(c\+\+\d+)", inspect.getsource(build))
    return found[1] if found else "c++17"
