"""In the runner: calls that were captured are answered with what the compiler built, others by a build here."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kbd.backends.base import Artifact, Target
from kbd.backends.python_source import source_in
from kbd.backends.torch_cuda.builder import Builder, BuildFailed, BuildOrder
from kbd.backends.torch_cuda.extension_call import ExtensionCall
from kbd.backends.torch_cuda.library import load_library
from kbd.inbox.kernel_code import CompileOptions


@dataclass
class Prebuilt:
    """The extensions of an artifact. `missed`: names of those that had to be built here."""

    artifact: Artifact
    target: Target
    options: CompileOptions
    builder: Builder
    missed: list[str] = field(default_factory=list)

    def answer(self, call: ExtensionCall) -> Any:
        """What the call returns. Raises BuildFailed, as it did in the compiler, or CannotBuild."""
        made = self.artifact.properties.get("extensions", {}).get(call.key())
        if made is None:
            return load_library(self._build(call), is_python_module=call.is_python_module)
        if (error := made.get("error")) is not None:
            raise BuildFailed(error, output=made["output"])
        return load_library(self.artifact.folder / made["file"], is_python_module=call.is_python_module)

    def _build(self, call: ExtensionCall) -> Path:
        print(f"kbd: extension {call.name} was not built ahead; it is built now", file=sys.stderr)  # noqa: T201
        self.missed.append(call.name)
        order = BuildOrder(call, self.target, self.options, source_in(self.artifact.folder))
        return self.builder.build(order)
