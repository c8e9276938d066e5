"""The name of a compiled kernel: a digest of everything that could make the compiler's output another one."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from kbd.backends.base import CompileRequest
from kbd.backends.registry import ENTRY_POINT_GROUP, backend_for
from kbd.inbox.bound_contract import BoundArg, BoundContract


def artifact_key(request: CompileRequest, versions: Mapping[str, str | None]) -> str:
    """SHA-256 in hexadecimal over sources, options, entry, contracts, target, tools and libraries, and the recipe.

    `versions` are those of tools and libraries, of the process that compiles. Content of tensors, seeds and
    tolerances are not in it: no compiler sees them.
    """
    kernel, target = request.kernel, request.target
    content = {
        "kernel_type": kernel.kernel_type,
        "source": kernel.source_code,
        "metadata": kernel.metadata,
        "options": kernel.compile_options.model_dump(mode="json"),
        "contracts": _signatures(request),
        "target": [target.kind, target.arch],
        "versions": dict(versions),
        "abi": [platform.machine(), sys.implementation.cache_tag, sysconfig.get_config_var("SOABI")],
        "recipe": recipe(kernel.kernel_type),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _signatures(request: CompileRequest) -> list[dict[str, Any]]:
    """Of every contract, for backends that build something else for each."""
    backend = backend_for(request.kernel.kernel_type)
    if not getattr(backend, "compiles_for_contract", True):
        return []
    return [signature(contract) for contract in request.contracts]


def signature(contract: BoundContract) -> dict[str, Any]:
    """What of a contract a compiler may look at."""
    launch = contract.launch
    return {
        "axes": contract.axes,
        "args": [_argument(arg) for arg in contract.args],
        "launch": None if launch is None else launch.model_dump(mode="json"),
    }


def _argument(arg: BoundArg) -> dict[str, Any]:
    tensor = arg.tensor and {
        "shape": arg.tensor.shape,
        "dtype": arg.tensor.dtype.value,
        "strides": arg.tensor.strides,
    }
    # repr tells 1 from True and from 1.0, which are the same key in JSON or not depending on who writes it.
    return arg.model_dump(mode="json", include={"name", "type", "role", "is_meta"}) | {
        "value": repr(arg.value),
        "tensor": tensor,
    }


@cache
def recipe(kernel_type: str) -> str:
    """How this version compiles a kernel type: the backends' own source, or the plug-in's version."""
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == kernel_type:
            return f"{point.value} {point.dist.name} {point.dist.version}" if point.dist else point.value
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
