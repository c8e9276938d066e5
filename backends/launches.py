"""Which kernels one call launches, and how: seen from inside the process, once, outside of anything that is timed.

On CUDA the call is captured into a graph and the graph's kernel nodes are read, which costs milliseconds and sees
every kernel whoever launched it. A call that cannot be captured is watched by torch's profiler, which knows names
only. What Triton knows beyond that (warps, spills, the configuration that autotune chose) is noted where it
launches; in its interpreter that is all there is.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

Config = tuple[tuple[str, bool | int | float | str], ...]


@dataclass(frozen=True)
class LaunchRecord:
    """One launch; what is not known is None. `config` are a Triton kernel's constants."""

    kernel: str
    grid: tuple[int, ...] | None = None
    block: tuple[int, ...] | None = None
    num_warps: int | None = None
    registers: int | None = None
    shared_bytes: int | None = None
    spills: int | None = None
    config: Config | None = None


def record_launches(call: Callable[[], Any], device: torch.device) -> list[LaunchRecord]:
    """Call once and tell what was launched. Raises what the call raises."""
    with _watching_triton() as by_triton:
        if device.type != "cuda":
            call()
            return by_triton
        seen = _captured(call)
        if seen is None:
            by_triton.clear()
            seen = _profiled(call)
    return _with_what_triton_knows(seen, by_triton) if seen else by_triton


def _with_what_triton_knows(seen: list[LaunchRecord], by_triton: list[LaunchRecord]) -> list[LaunchRecord]:
    """Launches of one name happen in the same order on both sides."""
    waiting = list(by_triton)
    merged: list[LaunchRecord] = []
    for launch in seen:
        known = next((one for one in waiting if one.kernel == launch.kernel), None)
        if known is not None:
            waiting.remove(known)
            launch = replace(known, grid=launch.grid or known.grid, block=launch.block)
        merged.append(launch)
    return merged


# --- the graph --------------------------------------------------------------------------------------


def _captured(call: Callable[[], Any]) -> list[LaunchRecord] | None:
    """The kernels of one call from its graph; None when it cannot be captured."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    try:
        with warnings.catch_warnings(), torch.cuda.stream(stream):
            warnings.simplefilter("ignore")  # that a graph is empty is an answer
            graph.capture_begin()
            try:
                call()
                return list(_kernel_nodes(stream.cuda_stream))
            finally:
                graph.capture_end()
    except Exception:  # noqa: BLE001 - whatever stops a capture: the profiler is asked instead
        torch.cuda.synchronize()
        return None


def _kernel_nodes(stream: int) -> Iterator[LaunchRecord]:
    """The kernel nodes of the graph that is being captured on a stream, in the order of their launches."""
    from cuda.bindings import driver

    graph = _checked(driver.cuStreamGetCaptureInfo(stream))[2]
    (_, count) = _checked(driver.cuGraphGetNodes(graph))
    nodes, _ = _checked(driver.cuGraphGetNodes(graph, count))
    for node in nodes:
        (kind,) = _checked(driver.cuGraphNodeGetType(node))
        if kind == driver.CUgraphNodeType.CU_GRAPH_NODE_TYPE_KERNEL:
            yield _launch_of(driver, node)


def _launch_of(driver: Any, node: Any) -> LaunchRecord:
    (launch,) = _checked(driver.cuGraphKernelNodeGetParams(node))
    function = launch.func
    if not int(function):
        (function,) = _checked(driver.cuKernelGetFunction(launch.kern))
    (name,) = _checked(driver.cuFuncGetName(function))
    attribute = driver.CUfunction_attribute
    (registers,) = _checked(driver.cuFuncGetAttribute(attribute.CU_FUNC_ATTRIBUTE_NUM_REGS, function))
    (static,) = _checked(driver.cuFuncGetAttribute(attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function))
    return LaunchRecord(
        kernel=readable(name.decode()),
        grid=(launch.gridDimX, launch.gridDimY, launch.gridDimZ),
        block=(launch.blockDimX, launch.blockDimY, launch.blockDimZ),
        registers=int(registers),
        shared_bytes=int(static) + int(launch.sharedMemBytes),
    )


def _checked(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a driver call returned besides its error code."""
    error, *rest = answer
    if int(error):
        raise RuntimeError(f"the driver answered {error}")
    return tuple(rest)


def readable(name: str) -> str:
    """A C++ name as it was written, if it is mangled."""
    if not name.startswith("_Z"):
        return name
    return str(torch._C._demangle(name))  # noqa: SLF001 - torch has no public demangler


# --- the profiler -----------------------------------------------------------------------------------


def _profiled(call: Callable[[], Any]) -> list[LaunchRecord]:
    """The kernels of one call by name; nothing where the profiler is not to be had."""
    from torch._C._autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    kernels = (event for event in profiler.events() or () if event.device_type == DeviceType.CUDA)
    return [
        LaunchRecord(readable(event.name))
        for event in kernels
        if not event.name.startswith(("Memcpy", "Memset"))
    ]


# --- Triton -----------------------------------------------------------------------------------------


@contextmanager
def _watching_triton() -> Iterator[list[LaunchRecord]]:
    """Note what Triton launches, compiled or interpreted, if this process has imported Triton at all."""
    seen: list[LaunchRecord] = []
    watched = [
        (cls, method, getattr(cls, method), noting)
        for module, name, method, noting in (
            ("triton.runtime.jit", "JITFunction", "run", _noting_compiled),
            ("triton.runtime.interpreter", "GridExecutor", "__call__", _noting_interpreted),
        )
        if (cls := getattr(sys.modules.get(module), name, None)) is not None
    ]
    for cls, method, launch, noting in watched:
        setattr(cls, method, noting(launch, seen))
    try:
        yield seen
    finally:
        for cls, method, launch, _ in watched:
            setattr(cls, method, launch)


def _noting_compiled(launch: Callable[..., Any], seen: list[LaunchRecord]) -> Callable[..., Any]:
    def noting(function: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        made = launch(function, *args, grid=grid, warmup=warmup, **kwargs)
        if not warmup:
            seen.append(_triton_launch(function, made, grid, _named(function, args) | kwargs))
        return made

    return noting


def _noting_interpreted(launch: Callable[..., Any], seen: list[LaunchRecord]) -> Callable[..., Any]:
    def noting(executor: Any, *args: Any, **kwargs: Any) -> Any:
        launch(executor, *args, **kwargs)
        seen.append(_triton_launch(executor, None, executor.grid, _named(executor, args) | kwargs))

    return noting


def _named(function: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(function.arg_names, args, strict=False))


def _triton_launch(function: Any, made: Any, grid: Any, given: dict[str, Any]) -> LaunchRecord:
    metadata = getattr(made, "metadata", None)
    options = {name: getattr(metadata, name, None) for name in ("num_warps", "num_stages")}
    config = {
        name: getattr(value, "value", value) for name, value in given.items() if name in _constants(function)
    } | options
    return LaunchRecord(
        kernel=function.fn.__name__,
        grid=_numbers(grid, given),
        num_warps=options["num_warps"],
        registers=getattr(made, "n_regs", None),
        shared_bytes=getattr(metadata, "shared", None),
        spills=getattr(made, "n_spills", None),
        config=tuple((name, value) for name, value in config.items() if _is_plain(value)),
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


def _constants(function: Any) -> set[str]:
    """Names of a kernel's constexpr parameters; the interpreter keeps the Python function only."""
    annotations = getattr(function.fn, "__annotations__", {})
    return {name for name, annotation in annotations.items() if "constexpr" in str(annotation)}


def _numbers(grid: Any, given: dict[str, Any]) -> tuple[int, ...] | None:
    try:
        found = grid(given) if callable(grid) else grid
        return tuple(int(size) for size in (found if isinstance(found, tuple | list) else (found,)))
    except Exception:  # noqa: BLE001 - the grid is the user's; the kernel has been launched all the same
        return None
