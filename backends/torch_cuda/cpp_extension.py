"""What a module sees as `torch.utils.cpp_extension`: the real one, but for `load_inline` and `load`.

The real module stays as it is (it is what builds), and is imported only where something else of it is asked for:
importing it takes a while, and a module whose extensions are built already needs nothing but the two functions.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol

from kbd.backends.torch_cuda.extension_call import FUNCTIONS, ExtensionCall, Function

NAME = "torch.utils.cpp_extension"


class Answerer(Protocol):
    """Says what a call returns."""

    def answer(self, call: ExtensionCall) -> Any:
        """The extension, in whatever way the call asks for it."""


class StandIn(ModuleType):
    """Takes the place of the real module for a user's code. `parameters`: those of the real functions by name."""

    def __init__(self, answerer: Answerer, parameters: Mapping[str, list[str]]) -> None:
        super().__init__(NAME)
        for function in FUNCTIONS:
            setattr(self, function, _answered(function, answerer, parameters[function]))

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # it is no package, and whoever asks must not cause an import
            raise AttributeError(name)
        return getattr(real_cpp_extension(), name)


def _answered(function: Function, answerer: Answerer, parameters: list[str]) -> Any:
    def call(*given: Any, **named: Any) -> Any:
        return answerer.answer(ExtensionCall.of(function, parameters, given, named))

    call.__name__ = call.__qualname__ = function
    return call


def real_cpp_extension() -> Any:
    """PyTorch's own module, whoever stands in for it."""
    found = sys.modules.get(NAME)
    if found is not None and not isinstance(found, StandIn):
        return found
    if isinstance(found, StandIn) and (real := vars(found).get("_real")) is not None:
        return real
    sys.modules.pop(NAME, None)
    real = importlib.import_module(NAME)
    if isinstance(found, StandIn):
        vars(found)["_real"] = real
        _show(found)
    return real


def stand_in(answerer: Answerer, parameters: Mapping[str, list[str]]) -> None:
    """From now on, modules of this process see the stand-in."""
    before = sys.modules.get(NAME)
    replaced = StandIn(answerer, parameters)
    if before is not None:
        vars(replaced)["_real"] = vars(before)["_real"] if isinstance(before, StandIn) else before
    _show(replaced)


@contextmanager
def standing_in(answerer: Answerer, parameters: Mapping[str, list[str]]) -> Iterator[None]:
    """The stand-in for a while."""
    stand_in(answerer, parameters)
    try:
        yield
    finally:
        _show(real_cpp_extension())


def _show(module: ModuleType) -> None:
    import torch.utils

    sys.modules[NAME] = module
    torch.utils.cpp_extension = module  # type: ignore[attr-defined]
