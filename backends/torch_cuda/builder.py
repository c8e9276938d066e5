"""How an extension is built: a small protocol, and PyTorch's own build behind it.

    BuildFailed           a compiler said no
    CannotBuild           something is missing here for this extension

Both are also RuntimeErrors, because that is what PyTorch raises and what a module may expect to catch.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from kbd.backends.base import CompileFailed, Target, Unsupported
from kbd.backends.build_tools import find_cxx, find_ninja, find_nvcc
from kbd.backends.python_source import MODULE_NAME, why_not_installed
from kbd.backends.shown_process import showing_subprocess
from kbd.backends.torch_cuda.compiler_output import first_error, without_commands
from kbd.backends.torch_cuda.cpp_extension import real_cpp_extension
from kbd.backends.torch_cuda.device_syntax import problem_in_device_code
from kbd.backends.torch_cuda.extension_call import ExtensionCall, listed
from kbd.backends.torch_cuda.source_lines import SourceLines
from kbd.inbox.kernel_code import CompileOptions

MODULE_FILE = f"{MODULE_NAME}.py"
_ARCH = re.compile(r"sm_(\d+)(\d)([a-z]?)")


class BuildFailed(CompileFailed, RuntimeError):
    """The extension does not compile or link."""


class CannotBuild(Unsupported, RuntimeError):
    """Nothing is wrong with the extension; it cannot be built on this host."""


@dataclass(frozen=True)
class BuildOrder:
    """What to build, for what, and the module that asks for it (whose lines compilers should name)."""

    call: ExtensionCall
    target: Target
    options: CompileOptions
    module: Path


class Builder(Protocol):
    """Builds the extension of a call. A faster build takes over by being another one of these."""

    def build(self, order: BuildOrder) -> Path:
        """The library, whose stem is the name it is to be imported by. Raises BuildFailed or CannotBuild."""


class PyTorchBuilder:
    """`torch.utils.cpp_extension` itself, in a private folder, without a device."""

    def build(self, order: BuildOrder) -> Path:
        """Build with ninja, as the call would have; what is already there in part is built anew."""
        if problem := why_cannot_build(order.call.needs_cuda):
            if why_cannot_build(needs_cuda=False) is None:
                _check_device_code(order)
            raise CannotBuild(problem)
        folder = _fresh_folder(order)
        with _environment(order.target), _only_built(), _shown():
            self._run(order, folder)
        libraries = sorted(folder.glob("*.so"))
        if not libraries:
            raise BuildFailed(f"{order.call.name}: the build ended without a library")
        return libraries[-1]

    def _run(self, order: BuildOrder, folder: Path) -> None:
        build = getattr(real_cpp_extension(), order.call.function)
        try:
            build(**_arguments(order), build_directory=str(folder), verbose=False)
        except RuntimeError as error:
            raise _explained(order.call, error) from None
        except OSError as error:
            raise CannotBuild(f"extension {order.call.name}: {error}") from None


def _fresh_folder(order: BuildOrder) -> Path:
    folder = Path(tempfile.gettempdir()) / "torch_cuda" / order.call.key()[:16]
    shutil.rmtree(folder, ignore_errors=True)  # with the lock of a build that was killed
    folder.mkdir(parents=True)
    shutil.copy(order.module, folder / MODULE_FILE)  # compilers quote the lines that they name
    return folder


def _check_device_code(order: BuildOrder) -> None:
    """CUDA sources that cannot be built here are read by nvcc, where there is one. Raises BuildFailed."""
    nvcc = find_nvcc()
    if nvcc is None:
        return
    folder, arguments = _fresh_folder(order), _arguments(order)
    problem = problem_in_device_code(order.call, arguments, nvcc, order.target.arch, folder, MODULE_FILE)
    if problem is not None:
        raise BuildFailed(f"extension {order.call.name}: {problem.cause}", output=problem.output)


def why_cannot_build(needs_cuda: bool) -> str | None:
    """What is missing here for extensions; nothing heavy is imported to find out."""
    if problem := why_not_installed("torch"):
        return problem
    if find_ninja() is None:
        return "extensions are built with ninja, which is not on PATH; install it with: pip install ninja"
    if find_cxx() is None:
        return "extensions need a C++ compiler; install g++, or set CXX to one"
    if not needs_cuda:
        return None
    if torch_cuda_version() is None:
        return "extensions with CUDA need a PyTorch with CUDA; the one installed here was built for the CPU"
    if find_nvcc() is None:
        return "extensions with CUDA need nvcc, which is neither on PATH nor in CUDA_HOME; install the CUDA toolkit"
    return None


def torch_cuda_version() -> str | None:
    """The CUDA version that PyTorch was built for, read without importing it."""
    from importlib.util import find_spec

    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    match = re.search(r"^cuda\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return match[1] if match else None


def arch_list(arch: str) -> str:
    """`9.0` for `sm_90`, as TORCH_CUDA_ARCH_LIST wants it."""
    match = _parsed(arch)
    return f"{match[1]}.{match[2]}{match[3]}"


def capability(arch: str) -> tuple[int, int]:
    """(9, 0) for `sm_90`."""
    match = _parsed(arch)
    return int(match[1]), int(match[2])


def _parsed(arch: str) -> re.Match[str]:
    match = _ARCH.fullmatch(arch)
    if match is None:
        raise CannotBuild(f"expected an architecture such as sm_90, found {arch!r}")
    return match


@contextmanager
def _environment(target: Target) -> Iterator[None]:
    """PyTorch asks the device for its architecture unless this variable tells it; a module may have set its own."""
    name = "TORCH_CUDA_ARCH_LIST"
    if target.arch is None or target.kind != "cuda" or name in os.environ:
        yield
        return
    os.environ[name] = arch_list(target.arch)
    try:
        yield
    finally:
        os.environ.pop(name, None)


@contextmanager
def _only_built() -> Iterator[None]:
    """PyTorch neither loads what it has built, nor removes precompiled headers from its own package.

    Loaded twice, a library that registers operators would fail; the headers may be in use by others.
    """
    cpp_extension = real_cpp_extension()
    with ExitStack() as stack:
        for name in ("_import_module_from_library", "remove_extension_h_precompiler_headers"):
            if hasattr(cpp_extension, name):
                stack.enter_context(mock.patch.object(cpp_extension, name, return_value=None))
        yield


@contextmanager
def _shown() -> Iterator[None]:
    """What ninja collects of the compilers is printed as it comes, not only told when something is wrong."""
    with mock.patch.object(real_cpp_extension(), "subprocess", showing_subprocess()):
        yield


def _arguments(order: BuildOrder) -> dict[str, Any]:
    """The call's arguments with marked sources and the job's own flags; the user's lists are not touched."""
    arguments = {
        name: value
        for name, value in order.call.arguments.items()
        if name not in ("verbose", "build_directory", "use_pch")
    }
    flags = {
        "extra_cflags": order.options.cflags,
        "extra_cuda_cflags": order.options.cuda_cflags,
        "extra_ldflags": order.options.ld_flags,
    }
    for name, more in flags.items():
        arguments[name] = [*listed(arguments.get(name)), *more]
    if order.call.function == "load_inline":
        arguments |= _marked_sources(arguments, SourceLines(order.module.read_text("utf-8"), MODULE_FILE))
    return arguments


def _marked_sources(arguments: dict[str, Any], lines: SourceLines) -> dict[str, list[str]]:
    marked = {
        name: lines.marked(listed(arguments[name]), name)
        for name in ("cpp_sources", "cuda_sources")
        if arguments.get(name)
    }
    if arguments.get("functions") is not None:  # PyTorch adds bindings of these at the end
        marked["cpp_sources"] = [*marked.get("cpp_sources", []), '#line 1 "functions"']
    return marked


def _explained(call: ExtensionCall, error: RuntimeError) -> BuildFailed:
    """PyTorch puts the whole output of the build into the message."""
    text = str(error)
    prefix = re.match(r"Error building extension '[^']*': ", text)
    if prefix is None:
        return BuildFailed(f"extension {call.name}: {text}")
    output = text[prefix.end() :]
    told = without_commands(output)
    last = told.strip().rpartition("\n")[2]
    cause = first_error(output, MODULE_FILE) or last or "the build failed"
    return BuildFailed(f"extension {call.name}: {cause}", output=told)
