"""Triton on a machine without a GPU: its own interpreter, for the element types that it gets right.

The interpreter is chosen when `@triton.jit` runs, for Triton's own library too, so a process that has imported
Triton already imports it again (its compiled part stays). Arithmetic in bfloat16 and float8 is silently wrong
there, because the interpreter computes on their bits: kernels that use them are refused.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from kbd.backends.base import LoadContext, Unsupported
from kbd.backends.triton_drivers import InterpreterDriver

WRONG_DTYPES = frozenset(
    getattr(torch, name)
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
    if hasattr(torch, name)
)
_WRONG_TYPES = (
    "get_bf16_ty",
    "get_fp8e4nv_ty",
    "get_fp8e4b15_ty",
    "get_fp8e4b8_ty",
    "get_fp8e5_ty",
    "get_fp8e5b16_ty",
)


def interpret_if_no_gpu(context: LoadContext) -> bool:
    """Whether a kernel with Triton in it is interpreted here; if so, everything is made ready for that."""
    if context.device.type != "cpu" or "triton" not in context.kernel.source_code:
        return False
    if find_spec("triton") is None:
        return False
    _interpret_from_now_on()
    return True


def _interpret_from_now_on() -> None:
    """Every `@triton.jit` of this process is interpreted."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        return
    os.environ["TRITON_INTERPRET"] = "1"
    for name in [name for name in sys.modules if name == "triton" or name.startswith("triton.")]:
        if not name.startswith("triton._C"):
            del sys.modules[name]
    importlib.import_module("triton.runtime").driver.set_active(InterpreterDriver())
    interpreter: Any = importlib.import_module("triton.runtime.interpreter")
    interpreter.GridExecutor.__call__ = _guarded(interpreter.GridExecutor.__call__)
    interpreter._patch_lang_tensor = _with_indices(interpreter._patch_lang_tensor)  # noqa: SLF001
    for name in _WRONG_TYPES:
        if hasattr(interpreter.InterpreterBuilder, name):
            setattr(interpreter.InterpreterBuilder, name, _refusal(name))


def refusal(dtype: str) -> Unsupported:
    """Why a kernel with this element type is not interpreted."""
    return Unsupported(
        f"the Triton interpreter, which runs kernels where there is no GPU, computes {dtype} wrongly",
        hint="run this job on a CUDA device, or use float16, float32, float64 or integers",
    )


def _guarded(run: Callable[..., Any]) -> Callable[..., Any]:
    """A launch that refuses tensors of the wrong dtypes and raises what the kernel raised."""

    def guarded(function: Any, *args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if getattr(value, "dtype", None) in WRONG_DTYPES:
                raise refusal(str(value.dtype).removeprefix("torch."))
        try:
            return run(function, *args, **kwargs)
        except Exception as error:
            cause = _innermost(error)
            if cause is error:
                raise
            raise cause from None

    return guarded


def _with_indices(patch: Callable[..., Any]) -> Callable[..., Any]:
    """Scalars of a kernel as bounds of its loops: Triton before 3.9 leans on what NumPy 2.4 has given up."""

    def patched(tensor: Any, *scope: Any) -> Any:
        made = patch(tensor, *scope)
        tensor.__index__ = lambda self: int(self.handle.data.item())
        return made

    return patched


def _innermost(error: BaseException) -> BaseException:
    """The interpreter wraps what the kernel raises; the kernel's own exception says more."""
    while type(error).__name__ == "InterpreterError" and error.__cause__ is not None:
        error = error.__cause__
    return error


def _refusal(method: str) -> Callable[..., Any]:
    dtype = method.removeprefix("get_").removesuffix("_ty")

    def refuse(*_: Any) -> Any:
        raise refusal(dtype)

    return refuse
