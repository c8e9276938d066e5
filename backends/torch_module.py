"""A Python module as a kernel: a Model (or ModelNew), a function, or a method, and how it is found and called.

What is called is found in this order: `metadata.class_name` (with `metadata.method_name`, else the class's
`forward`), `metadata.function_name`, `ModelNew` (candidates), `Model`, the only nn.Module of the module, the
only public function of the module.
"""

from __future__ import annotations

import importlib.util
import inspect
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from kbd.backends.base import LoadContext, LoadFailed
from kbd.backends.float64_form import float64_form
from kbd.backends.python_source import MODULE_NAME
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.manifest import KernelCode

NOT_ENTRIES = frozenset({"get_inputs", "get_init_inputs"})


def seed_everything(seed: int) -> None:
    """Seed torch (every device), numpy and random alike."""
    torch.manual_seed(seed)
    np.random.seed(seed % (1 << 32))
    random.seed(seed)


def import_source(path: Path) -> ModuleType:
    """Import a module from its file, so that `inspect` and tracebacks find its source."""
    spec = importlib.util.spec_from_file_location(MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise LoadFailed(f"{path.name} cannot be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE_NAME] = module
    spec.loader.exec_module(module)
    return module


def to_device(value: Any, device: torch.device) -> Any:
    """The value with every tensor in it moved to `device`; lists, tuples and dicts are rebuilt."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if type(value) in (list, tuple):
        return type(value)(to_device(entry, device) for entry in value)
    if type(value) is dict:
        return {key: to_device(entry, device) for key, entry in value.items()}
    return value


def _defined_here(module: ModuleType, wanted: Callable[[Any], bool]) -> dict[str, Any]:
    return {
        name: entry
        for name, entry in vars(module).items()
        if not name.startswith("_")
        and wanted(entry)
        and getattr(entry, "__module__", None) == module.__name__
        and name not in NOT_ENTRIES
    }


def _is_model(entry: Any) -> bool:
    return isinstance(entry, type) and issubclass(entry, torch.nn.Module)


def _named(module: ModuleType, name: str, field: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        known = sorted(_defined_here(module, callable)) or ["nothing callable"]
        raise LoadFailed(
            f"metadata.{field} names {name!r}, which the module does not define; it defines {', '.join(known)}",
            hint=f"correct metadata.{field} or define {name}",
        ) from None


def find_entry(module: ModuleType, kernel: KernelCode, role: str) -> Any:
    """The class or function that the job means; raises LoadFailed listing what there is."""
    metadata = kernel.metadata
    for field in ("class_name", "function_name", "entry_point"):
        if name := metadata.get(field):
            return _named(module, str(name), field)
    for name in ("ModelNew", "Model") if role == "candidate" else ("Model", "ModelNew"):
        if _is_model(getattr(module, name, None)):
            return getattr(module, name)
    for wanted in (_is_model, inspect.isfunction):
        found = _defined_here(module, wanted)
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            raise LoadFailed(
                f"the module defines several entries ({', '.join(sorted(found))}) and none is called Model",
                hint="name the one to call in metadata.class_name or metadata.function_name",
            )
    raise LoadFailed(
        "the module defines no nn.Module and no function",
        hint="define a class Model (candidates: ModelNew) with forward(), or a function",
    )


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(call.forward if isinstance(call, torch.nn.Module) else call)


def _parameter_names(call: Callable[..., Any]) -> frozenset[str]:
    """Names of the parameters; none where the signature is unknown."""
    try:
        return frozenset(_signature(call).parameters)
    except (TypeError, ValueError):
        return frozenset()


def _takes(call: Callable[..., Any], arguments: list[Any]) -> bool:
    """Whether the signature has room for these arguments; unknown signatures take anything."""
    try:
        _signature(call).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


class ModuleExecutable:
    """A module's entry, constructed on its device."""

    takes_outputs = False  # it returns what it makes

    def __init__(self, module: ModuleType, context: LoadContext, *, interpreted: bool = False) -> None:
        self.interpreted = interpreted
        self.resources: dict[str, dict[str, int]] = {}
        self._module = module
        self._device = context.device
        self.init_inputs = context.init_inputs if context.init_inputs is not None else self._own_init_inputs()
        self._call = self._construct(context)
        self._contract: BoundContract | None = None
        self._places: Sequence[int] | None = None

    def _own_init_inputs(self) -> list[Any]:
        make = getattr(self._module, "get_init_inputs", None)
        return list(make()) if callable(make) else []

    def _construct(self, context: LoadContext) -> Callable[..., Any]:
        entry = find_entry(self._module, context.kernel, context.role)
        if not isinstance(entry, type):
            return entry  # type: ignore[no-any-return]
        seed_everything(context.init_seed)
        arguments = to_device(self.init_inputs, self._device)
        if len(arguments) == 2 and isinstance(arguments[0], list) and isinstance(arguments[1], dict):
            instance = entry(*arguments[0], **arguments[1])
        else:
            instance = entry(*arguments)
        if isinstance(instance, torch.nn.Module):
            instance = instance.to(self._device)
        method = context.kernel.metadata.get("method_name")
        return getattr(instance, str(method)) if method else instance  # type: ignore[no-any-return]

    @property
    def makes_inputs(self) -> bool:
        """Whether the module defines `get_inputs`."""
        return callable(getattr(self._module, "get_inputs", None))

    def make_inputs(self, seed: int) -> list[Any]:
        """The module's own inputs under `seed`, moved to the device."""
        seed_everything(seed)
        return list(to_device(list(self._module.get_inputs()), self._device))

    def bind(self, contract: BoundContract) -> None:
        """A module reads sizes off its tensors; the contract says what its scalars are called."""
        self._contract, self._places = contract, None

    def call_on(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Callable[[], Any]:
        """Nothing can be prepared: the module gets its inputs at each call."""
        return lambda: self(inputs, outputs)

    def __call__(self, inputs: list[Any], outputs: list[torch.Tensor]) -> Any:
        """Call it as an eager PyTorch user would, without recording gradients."""
        del outputs
        with torch.inference_mode():
            return self._call(*self._accepted(inputs))

    def in_float64(self) -> Callable[[list[Any]], Any]:
        """A copy whose parameters and buffers are float64; a function stays as it is."""
        wide = float64_form(self._call)

        def call(inputs: list[Any]) -> Any:
            usual = torch.get_default_dtype()
            torch.set_default_dtype(torch.float64)  # for tensors that it makes on its way
            try:
                with torch.inference_mode():
                    return wide(*self._accepted(inputs))
            finally:
                torch.set_default_dtype(usual)

        return call

    def _accepted(self, inputs: list[Any]) -> list[Any]:
        """All inputs; where the signature has no room for them, the tensors and the scalars that it names.

        A contract is written for the bare kernel and says its sizes; a torch reference reads them off its tensors.
        """
        if self._places is None:
            self._places = self._accepted_places(inputs)
        return [inputs[place] for place in self._places]

    def _accepted_places(self, inputs: list[Any]) -> Sequence[int]:
        everything = range(len(inputs))
        tensors = [place for place in everything if isinstance(inputs[place], torch.Tensor)]
        named = [place for place in everything if place in tensors or self._names_scalar(place)]
        for places in (everything, named, tensors):
            if _takes(self._call, [inputs[place] for place in places]):
                return places
        return everything

    def _names_scalar(self, place: int) -> bool:
        if self._contract is None or place >= len(self._contract.inputs):
            return False
        return self._contract.inputs[place].name in _parameter_names(self._call)
