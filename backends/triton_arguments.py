"""How a bare Triton kernel is called by its contract: which arguments by position, which by name, which options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from kbd.backends.base import CompileFailed, LaunchFailed
from kbd.backends.triton_source import TritonKernel
from kbd.inbox.bound_contract import BoundContract
from kbd.inbox.errors import InvalidJob
from kbd.inbox.launch import TunedGrid

Blocks = tuple[int, int, int]


@dataclass(frozen=True)
class TritonCall:
    """`kernel[grid](*positional, **by_name)`, as its author would write it."""

    grid: Blocks | Callable[[Mapping[str, object]], Blocks]
    positional: list[Any]
    by_name: dict[str, Any]

    @classmethod
    def of(cls, kernel: TritonKernel, contract: BoundContract, values: Sequence[Any]) -> Self:
        """The call for values in the order of `contract.args`. Raises CompileFailed when they do not fit.

        The first parameters go by position, up to one that is a constexpr or left out; autotune, heuristics and
        the hooks of both see named arguments only where their authors expect constants.
        """
        launch = contract.launch
        grid = None if launch is None else launch.grid or _chosen_grid(launch.tuned_grid)
        if launch is None or grid is None:
            raise CompileFailed(
                "a bare Triton kernel needs io.launch.grid", hint="set it, for example {x: 128}"
            )
        given = dict(zip(kernel.places(contract), values, strict=True))
        positional: list[Any] = []
        for parameter in kernel.parameters:
            if parameter.is_constexpr or parameter.name not in given:
                break
            positional.append(given.pop(parameter.name))
        options = {"num_warps": launch.num_warps, "num_stages": launch.num_stages}
        given |= {name: value for name, value in options.items() if value is not None}
        return cls(grid, positional, given)


def _chosen_grid(tuned: TunedGrid | None) -> Callable[[Mapping[str, object]], Blocks] | None:
    """What Triton calls with the arguments of a launch, the constants of its configuration among them."""
    if tuned is None:
        return None

    def grid(arguments: Mapping[str, object]) -> Blocks:
        try:
            return tuned.under({name: getattr(value, "value", value) for name, value in arguments.items()})
        except InvalidJob as error:
            raise LaunchFailed(str(error), hint="launch.tuned lists what the kernel itself chooses") from None

    return grid
