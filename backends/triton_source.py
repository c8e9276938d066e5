"""What a Triton source says about its kernels, read from its syntax tree; nothing of it is run here."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kbd.backends.base import CompileFailed
from kbd.inbox.bound_contract import BoundArg, BoundContract
from kbd.inbox.kernel_source import triton_kernels
from kbd.inbox.manifest import KernelCode


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel."""

    name: str
    is_constexpr: bool
    has_default: bool


@dataclass(frozen=True)
class TritonKernel:
    """A `@triton.jit` function; `line` is that of its `def`.

    `chooses` are decorators that fill parameters in by themselves: autotune, heuristics.
    """

    name: str
    line: int
    parameters: tuple[Parameter, ...]
    chooses: bool

    def described(self) -> str:
        """The kernel as its author would write it."""
        return f"{self.name}({', '.join(parameter.name for parameter in self.parameters)})"

    def places(self, contract: BoundContract) -> list[str]:
        """The parameter that each argument of the contract goes to.

        By position; compile-time constants by name where the kernel has that name. Parameters that are left out
        must have a default or be chosen by autotune or heuristics. Raises CompileFailed.
        """
        known = {parameter.name for parameter in self.parameters}
        named = {arg.name for arg in contract.args if arg.is_meta and arg.name in known}
        by_position = [arg for arg in contract.args if arg.name not in named]
        free = [parameter for parameter in self.parameters if parameter.name not in named]
        chosen = self._room_for(by_position, free)
        if chosen is None:
            raise CompileFailed(
                f"line {self.line}: {self.described()} does not take the contract's arguments "
                f"({', '.join(arg.name for arg in contract.args) or 'none'})",
                hint="give io.args in the order of the kernel's parameters, constexprs with is_meta: true",
            )
        places = iter(chosen)
        return [arg.name if arg.name in named else next(places).name for arg in contract.args]

    def _room_for(self, args: Sequence[BoundArg], free: Sequence[Parameter]) -> Sequence[Parameter] | None:
        """The parameters that positional arguments fill, or None when they cannot be matched."""
        needed = [parameter for parameter in free if not parameter.is_constexpr]
        if len(args) == len(needed) and all(map(self._can_be_left_out, _without(free, needed))):
            return needed
        if len(args) <= len(free) and all(map(self._can_be_left_out, free[len(args) :])):
            return free[: len(args)]
        return None

    def _can_be_left_out(self, parameter: Parameter) -> bool:
        return parameter.has_default or (parameter.is_constexpr and self.chooses)


def _without(parameters: Sequence[Parameter], others: Sequence[Parameter]) -> list[Parameter]:
    return [parameter for parameter in parameters if parameter not in others]


def chosen_kernel(kernel: KernelCode) -> TritonKernel:
    """The kernel that `metadata.kernel_name` names, else the only one. Raises CompileFailed."""
    found = {entry.name: entry for entry in _kernels_in(kernel.source_code)}
    name = kernel.metadata.get("kernel_name")
    if not name:
        candidates = [entry for entry in triton_kernels(kernel.source_code) if entry in found]
        if len(candidates) != 1:
            defined = ", ".join(found) or "none"
            raise CompileFailed(
                f"expected one @triton.jit kernel or metadata.kernel_name, found {defined}",
                hint="name the kernel to call in metadata.kernel_name",
            )
        name = candidates[0]
    if name not in found:
        raise CompileFailed(
            f"metadata.kernel_name names {name!r}, which is no @triton.jit function of the source; "
            f"it defines {', '.join(found) or 'none'}",
            hint="correct metadata.kernel_name",
        )
    return found[str(name)]


def _kernels_in(source: str) -> Iterator[TritonKernel]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            decorators = [_name_of(decorator) for decorator in node.decorator_list]
            if "jit" in decorators:
                chooses = bool({"autotune", "heuristics"} & set(decorators))
                yield TritonKernel(node.name, node.lineno, tuple(_parameters(node.args)), chooses)


def _name_of(decorator: ast.expr) -> str:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = len(positional) - len(arguments.defaults)
    for place, argument in enumerate(positional):
        yield Parameter(argument.arg, _is_constexpr(argument), place >= without_default)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield Parameter(argument.arg, _is_constexpr(argument), default is not None)


def _is_constexpr(argument: ast.arg) -> bool:
    return argument.annotation is not None and "constexpr" in ast.unparse(argument.annotation)
