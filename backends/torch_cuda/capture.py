"""In the compiler: the module is executed without a device, and every call that builds an extension is answered.

A model that builds when it is constructed or first called is tried out as well, on tensors without memory, as
far as that leads: until the first use of an extension.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from kbd.backends.base import CompileRequest, Target
from kbd.backends.python_source import source_in
from kbd.backends.torch_cuda.builder import Builder, BuildFailed, BuildOrder, CannotBuild, capability
from kbd.backends.torch_cuda.cpp_extension import real_cpp_extension, standing_in
from kbd.backends.torch_cuda.extension_call import FUNCTIONS, ExtensionCall, parameters_of
from kbd.backends.torch_cuda.library import demangled, load_library

LIBRARIES = "extensions"
REASON_CHARS = 500


class _ExtensionUsed(BaseException):
    """A trial has come to the point where an extension would run."""


class _Untouchable:
    """An extension during a trial: any use of it ends the trial."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _end_trial


def _end_trial(*_: Any, **__: Any) -> Any:
    raise _ExtensionUsed


@dataclass
class Capture:
    """Builds what a module asks for. `made`: by the key of the call, what the runner has to know."""

    request: CompileRequest
    builder: Builder
    folder: Path

    def __post_init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.on_trial = False

    def answer(self, call: ExtensionCall) -> Any:
        """The extension, built now unless it was before. Raises BuildFailed or CannotBuild."""
        key = call.key()
        if key not in self.made:
            self.made[key] = self._build(call, key)
        elif (error := self.made[key].get("error")) is not None:
            raise BuildFailed(error, output=self.made[key]["output"])
        if self.on_trial:
            return _Untouchable()
        return _loaded(self.folder / self.made[key]["file"], call)

    def _build(self, call: ExtensionCall, key: str) -> dict[str, Any]:
        request = self.request
        order = BuildOrder(call, request.target, request.kernel.compile_options, source_in(self.folder))
        try:
            library = self.builder.build(order)
        except BuildFailed as error:
            self.made[key] = {"error": str(error), "output": error.output}
            raise
        file = Path(LIBRARIES, key[:16], library.name)
        (self.folder / file).parent.mkdir(parents=True)
        shutil.copyfile(library, self.folder / file)
        return {"file": str(file)}


def _loaded(library: Path, call: ExtensionCall) -> Any:
    try:
        return load_library(library, is_python_module=call.is_python_module)
    except (ImportError, OSError) as error:
        raise BuildFailed(
            f"extension {call.name}: {demangled(str(error)).replace(f'{library}: ', '')}"
        ) from None


def capture(request: CompileRequest, builder: Builder, folder: Path) -> dict[str, Any]:
    """Execute the module that lies in `folder` and build all it asks for; what a runner has to know, as JSON.

    `unfinished` says why something may be left to build. Raises BuildFailed or CannotBuild.
    """
    real = real_cpp_extension()
    parameters: dict[str, list[str]] = {name: parameters_of(getattr(real, name)) for name in FUNCTIONS}
    captured = Capture(request, builder, folder)
    with ExitStack() as stack:
        stack.enter_context(standing_in(captured, parameters))
        for patch in _pretended_device(request.target):
            stack.enter_context(patch)
        unfinished = _execute(captured)
    return {"extensions": captured.made, "parameters": parameters, "unfinished": unfinished}


def _execute(captured: Capture) -> str | None:
    """Why the module could not be followed to its end; None if it could."""
    from kbd.backends.torch_module import import_source

    try:
        module = import_source(source_in(captured.folder))
    except BaseException as error:  # noqa: BLE001 - whatever the user's module raises, SystemExit included
        _raise_if_it_is_a_build(error)
        return f"the module does not run without its device: {type(error).__name__}: {error}"[:REASON_CHARS]
    if captured.made:
        return None
    captured.on_trial = True
    _attempt(lambda: _try_out(module, captured.request))
    return None if captured.made else "nothing was built when the module was imported and its entry tried out"


def _raise_if_it_is_a_build(error: BaseException) -> None:
    """A module may wrap what went wrong with a build into an error of its own."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, BuildFailed | CannotBuild):
            raise seen from None
        seen = seen.__cause__ or seen.__context__


def _attempt(trial: Callable[[], None]) -> None:
    """A trial may end anyhow; only a build that fails means something."""
    try:
        trial()
    except BaseException as error:  # noqa: BLE001 - tensors without memory make user code raise anything
        _raise_if_it_is_a_build(error)


def _try_out(module: ModuleType, request: CompileRequest) -> None:
    """Construct the entry and call it once, on the meta device."""
    import torch

    from kbd.backends.torch_module import find_entry

    with torch.device("meta"), torch.inference_mode():
        entry = find_entry(module, request.kernel, "candidate")
        if isinstance(entry, type):
            make = getattr(module, "get_init_inputs", list)
            entry = entry(*make())
        if method := request.kernel.metadata.get("method_name"):
            entry = getattr(entry, str(method))
        entry(*_inputs(module, request))


def _inputs(module: ModuleType, request: CompileRequest) -> list[Any]:
    """Arguments by the contract, or the module's own; inside of the meta device's context."""
    import torch

    if not request.contracts:
        return list(module.get_inputs())
    return [
        torch.empty(arg.tensor.shape, dtype=getattr(torch, arg.tensor.dtype.value))
        if arg.tensor is not None
        else arg.value
        for arg in request.contracts[0].inputs
    ]


def _pretended_device(target: Target) -> list[Any]:
    """Questions about a CUDA device that can be answered without one; all others fail as they would."""
    import torch

    if target.kind != "cuda":
        return []
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
    }
    if target.arch is not None:
        known = capability(target.arch)
        answers["get_device_capability"] = lambda device=None: known
    return [mock.patch.object(torch.cuda, name, answer) for name, answer in answers.items()]
