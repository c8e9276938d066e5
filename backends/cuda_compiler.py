"""CUDA C++ to machine code without a device, by nvcc or NVRTC, and what the compiler said of each kernel.

The user's source is compiled as it is, so that the compiler's line numbers are the user's. Template instances that
are asked for are named behind its last line, or beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kbd.backends.base import CompileFailed, Unsupported
from kbd.backends.build_tools import find_nvcc
from kbd.backends.nvrtc import compile_with_nvrtc, why_no_nvrtc
from kbd.backends.shown_process import run_shown, show
from kbd.inbox.manifest import KernelCode

SOURCE = "kernel.cu"
BINARY = "kernel.cubin"
DEFAULT_STANDARD = "-std=c++17"
ALWAYS = ("-lineinfo",)
_ENTRY = re.compile(r"Compiling entry function '([^']+)'")
_FIGURES = {
    "registers": re.compile(r"Used (\d+) registers"),
    "shared_bytes": re.compile(r"(\d+) bytes smem"),
    "spills": re.compile(r"(\d+) bytes spill stores"),
}
_TEXT_SECTION = re.compile(rb"\x00\.text\.([A-Za-z_$][\w$.]*)(?=\x00)")
_ERROR = re.compile(rf"{re.escape(SOURCE)}\((\d+)\): (?:catastrophic )?error\s*:?\s*(.*)")
_FATAL = re.compile(rf"{re.escape(SOURCE)}:(\d+):\d+: (?:fatal )?error: (.*)")


@dataclass(frozen=True)
class Built:
    """Machine code: the symbols of its kernels, and what ptxas said of each."""

    symbols: tuple[str, ...]
    resources: dict[str, dict[str, int]]


def why_no_compiler() -> str | None:
    """None where CUDA C++ can be compiled here, else what is missing."""
    if find_nvcc() is not None:
        return None
    missing = why_no_nvrtc()
    return (
        None if missing is None else f"no nvcc, and {missing}; install the CUDA toolkit or nvidia-cuda-nvrtc"
    )


def build(kernel: KernelCode, arch: str, folder: Path) -> Built:
    """Compile for `arch` (`sm_90`) into `folder`. Raises CompileFailed and Unsupported."""
    said = (
        _with_nvcc(kernel, arch, folder)
        if _compiler_for(kernel) == "nvcc"
        else _with_nvrtc(kernel, arch, folder)
    )
    symbols = tuple(name.decode() for name in _TEXT_SECTION.findall((folder / BINARY).read_bytes()))
    return Built(tuple(dict.fromkeys(symbols)), _resources(said))


def _compiler_for(kernel: KernelCode) -> str:
    """As asked, else nvcc where it is, else NVRTC. Raises Unsupported."""
    asked = kernel.metadata.get("backend")
    missing = {"nvcc": None if find_nvcc() else "nvcc is not found", "nvrtc": why_no_nvrtc()}
    for name in (str(asked),) if asked else ("nvcc", "nvrtc"):
        if missing[name] is None:
            return name
    problem = missing[str(asked)] if asked else why_no_compiler()
    raise Unsupported(f"CUDA C++ cannot be compiled here: {problem}", hint="install it, or leave out backend")


def _instances(kernel: KernelCode) -> list[str]:
    names = kernel.metadata.get("name_expressions") or ()
    assert isinstance(names, list | tuple)
    return [str(name) for name in names]


def options_of(kernel: KernelCode) -> list[str]:
    """The user's own options, in the order in which later ones win."""
    own = kernel.metadata.get("compiler_options") or ()
    assert isinstance(own, list | tuple)
    return [*kernel.compile_options.cuda_cflags, *map(str, own)]


def _standard(options: Sequence[str]) -> list[str]:
    given = any(option.startswith(("-std", "--std")) for option in options)
    return [] if given else [DEFAULT_STANDARD]


def _with_nvcc(kernel: KernelCode, arch: str, folder: Path) -> str:
    nvcc = find_nvcc()
    assert nvcc is not None
    # Template instances: an address that is taken has to exist.
    taken = (
        f"\n[[maybe_unused]] static auto* kbd_instance_{number} = &{name};"
        for number, name in enumerate(_instances(kernel))
    )
    (folder / SOURCE).write_text(kernel.source_code + "".join(taken), encoding="utf-8")
    options = options_of(kernel)
    command = [nvcc, "-cubin", f"-arch={arch}", *_standard(options), *ALWAYS, "-Xptxas=-v", *options]
    done = run_shown([*command, SOURCE, "-o", BINARY], cwd=folder)
    said = done.stdout.decode(errors="replace")
    if done.returncode:
        raise CompileFailed(_message(said, kernel), output=said)
    return said


def _with_nvrtc(kernel: KernelCode, arch: str, folder: Path) -> str:
    options = options_of(kernel)
    flags = [f"--gpu-architecture={arch}", *_standard(options), *ALWAYS, "--ptxas-options=-v", *options]
    binary, said = compile_with_nvrtc(kernel.source_code, SOURCE, flags, _instances(kernel))
    show(said if said.endswith("\n") or not said else f"{said}\n")
    if binary is None:
        raise CompileFailed(_message(said, kernel), output=said)
    (folder / BINARY).write_bytes(binary)
    return said


def _message(said: str, kernel: KernelCode) -> str:
    """The first error with its line in the user's source."""
    match = _ERROR.search(said) or _FATAL.search(said)
    if match is None:
        lines = [line for line in said.splitlines() if "error" in line.lower() or "fatal" in line.lower()]
        return (lines or said.strip().splitlines() or ["the compiler failed and said nothing"])[0].strip()
    line = int(match[1])
    if line > kernel.source_code.count("\n") + 1:
        return f"metadata.name_expressions: {match[2]}"
    return f"line {line}: {match[2]}"


def _resources(said: str) -> dict[str, dict[str, int]]:
    """Registers, static shared memory and spills in bytes, of each kernel by its symbol."""
    pieces = _ENTRY.split(said)[1:]
    return {
        symbol: {
            what: int(found[1]) if (found := pattern.search(text)) else 0
            for what, pattern in _FIGURES.items()
        }
        for symbol, text in zip(pieces[::2], pieces[1::2], strict=True)
    }
