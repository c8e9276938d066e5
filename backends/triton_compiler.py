"""Compiling a bare Triton kernel for a device that need not be there.

The kernel is warmed up as Triton itself does it, against a driver that only knows the target, into a cache of the
artifact's own. A runner that launches with the same contract then finds everything in that cache: the kernel and
the launcher's C stub. Triton's own code computes the keys, so this depends on no version's inside.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from kbd.backends.base import CompileRequest
from kbd.backends.python_source import source_in
from kbd.backends.shown_process import show
from kbd.backends.torch_module import import_source
from kbd.backends.triton_arguments import TritonCall
from kbd.backends.triton_drivers import DeviceNeeded, TargetDriver, active
from kbd.backends.triton_errors import compile_failure
from kbd.backends.triton_seed import plant
from kbd.backends.triton_source import TritonKernel
from kbd.inbox.bound_contract import BoundContract

CACHE = "triton_cache"
GROUP_PREFIX = "__grp__"


def compile_ahead(request: CompileRequest, chosen: TritonKernel, folder: Path) -> str | None:
    """Fill the artifact's cache. None when nothing is left to compile, else why the runner has to.

    Raises CompileFailed for what Triton's compiler says of the kernel.
    """
    if request.target.arch is None:
        return "the architecture of the device is not known"
    with _cache_in(folder / CACHE), active(TargetDriver(request.target.arch)):
        try:
            function = getattr(import_source(source_in(folder)), chosen.name)
        except Exception as error:  # noqa: BLE001 - a module may need a device; the runner tells whether it is wrong
            return f"the module cannot be imported without a device: {type(error).__name__}: {error}"
        for contract in request.contracts:
            if reason := _compile_for(function, chosen, contract, request.kernel.source_code):
                return reason
    return None


def _compile_for(function: Any, chosen: TritonKernel, contract: BoundContract, source: str) -> str | None:
    call = TritonCall.of(chosen, contract, [_stand_in(arg.tensor, arg.value) for arg in contract.args])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Triton's notices are no fault of the kernel's
            made = function.warmup(*call.positional, grid=call.grid, **call.by_name)
    except DeviceNeeded as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever is not the compiler's is raised again by the runner
        if (failure := compile_failure(error, source)) is not None:
            show(f"{error}\n")
            raise failure from None
        return f"{type(error).__name__}: {error}"
    for compiled in made if isinstance(made, list) else [made]:
        # Where libcuda is missing as well, the stub is built where the kernel runs.
        with contextlib.suppress(Exception):
            TargetDriver(f"sm_{compiled.metadata.target.arch}").launcher_cls(compiled.src, compiled.metadata)
    return None


def _stand_in(tensor: Any, value: Any) -> Any:
    """A tensor argument as Triton's warm-up takes it: dtype and shape, aligned memory assumed."""
    from triton.runtime.jit import MockTensor

    if tensor is None:
        return value
    dtype = getattr(torch, tensor.dtype.value)
    try:
        return MockTensor(dtype, list(tensor.shape))
    except TypeError:  # before 3.3
        return MockTensor(dtype)


@contextlib.contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    plant(folder)
    before = os.environ.get("TRITON_CACHE_DIR")
    os.environ["TRITON_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TRITON_CACHE_DIR"]
        else:
            os.environ["TRITON_CACHE_DIR"] = before


def use_cache(folder: Path) -> None:
    """Have Triton of this process look into an artifact's cache, wherever its folder has been copied to."""
    cache = folder / CACHE
    if not cache.is_dir():
        return
    for group in cache.glob(f"*/{GROUP_PREFIX}*"):
        _relocate(group)
    os.environ["TRITON_CACHE_DIR"] = str(cache)


def _relocate(group: Path) -> None:
    """A group names its files by the paths they had when they were made."""
    described = json.loads(group.read_text(encoding="utf-8"))
    paths: Sequence[str] | dict[str, str] = described.get("child_paths", ())
    if isinstance(paths, dict):
        described["child_paths"] = {name: str(group.parent / name) for name in paths}
        group.write_text(json.dumps(described), encoding="utf-8")
