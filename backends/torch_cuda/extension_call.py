"""One call of `load_inline` or `load`, known by its content."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Function = Literal["load_inline", "load"]
FUNCTIONS: tuple[Function, ...] = ("load_inline", "load")
# How much is said and where it is built makes no other library.
WITHOUT_EFFECT = frozenset({"verbose", "build_directory", "keep_intermediates", "use_pch"})
TEXTS = ("cpp_sources", "cuda_sources", "sycl_sources", "functions")
CUDA_SUFFIXES = (".cu", ".cuh")
HEADERS_LOOKED_AT = 500


@dataclass(frozen=True)
class ExtensionCall:
    """The function and its arguments by name; those that are None are left out."""

    function: Function
    arguments: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        function: Function,
        parameters: Sequence[str],
        given: tuple[Any, ...],
        named: Mapping[str, Any],
    ) -> ExtensionCall:
        """A call as Python code makes it. Raises TypeError where the real function would."""
        if len(given) > len(parameters):
            raise TypeError(f"{function}() takes at most {len(parameters)} positional arguments")
        arguments = dict(zip(parameters, given, strict=False))
        for name, value in named.items():
            if name not in parameters:
                raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
            if name in arguments:
                raise TypeError(f"{function}() got multiple values for argument {name!r}")
            arguments[name] = value
        if "name" not in arguments:
            raise TypeError(f"{function}() missing 1 required positional argument: 'name'")
        return cls(function, {name: value for name, value in arguments.items() if value is not None})

    @property
    def name(self) -> str:
        """What the user calls the extension."""
        return str(self.arguments["name"])

    @property
    def is_python_module(self) -> bool:
        """Whether it is imported; if not, its library is only loaded, and registers operators."""
        return bool(self.arguments.get("is_python_module", True))

    @property
    def needs_cuda(self) -> bool:
        """Whether PyTorch would build it with nvcc or link it against CUDA."""
        if "with_cuda" in self.arguments:
            return bool(self.arguments["with_cuda"])
        if self.function == "load_inline":
            return bool(self.arguments.get("cuda_sources"))
        return any(str(path).endswith(CUDA_SUFFIXES) for path in listed(self.arguments.get("sources")))

    def key(self) -> str:
        """A digest of everything that makes the library what it is; files count by their content."""
        content = {
            name: _plain(name, value)
            for name, value in self.arguments.items()
            if name not in WITHOUT_EFFECT and value not in ([], (), {}, "")
        }
        text = json.dumps([self.function, content], sort_keys=True, default=repr)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def parameters_of(function: Callable[..., Any]) -> list[str]:
    """Names of the parameters of PyTorch's own function, whose order differs between its versions."""
    return list(inspect.signature(function).parameters)


def listed(value: Any) -> list[Any]:
    """PyTorch takes one text, one path, or several."""
    if value is None:
        return []
    return [value] if isinstance(value, str | Path) else list(value)


def _plain(name: str, value: Any) -> Any:
    if name == "functions":
        return dict.fromkeys(listed(value)) if not isinstance(value, Mapping) else dict(value)
    if name in TEXTS:
        return listed(value)
    if name == "sources":
        return [_digest(Path(path)) for path in listed(value)]
    if name == "extra_include_paths":
        return [_digest_of_folder(Path(path)) for path in listed(value)]
    return value if isinstance(value, bool | int | float | str) else listed(value)


def _digest(path: Path) -> list[str]:
    """Name and content; the folder may be another one each time."""
    try:
        return [path.name, hashlib.sha256(path.read_bytes()).hexdigest()]
    except OSError:
        return [str(path), "unreadable"]


def _digest_of_folder(folder: Path) -> Any:
    """The content of a folder that the module may have made itself; a folder of the system by its name."""
    if not _is_own(folder):
        return str(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())[:HEADERS_LOOKED_AT]
    return [[str(path.relative_to(folder)), *_digest(path)] for path in files]


def _is_own(folder: Path) -> bool:
    import tempfile

    absolute = folder.absolute()
    return any(absolute.is_relative_to(own) for own in (Path.cwd(), Path(tempfile.gettempdir())))
