"""How a bare kernel is launched."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from kbd.inbox.axes import NAME_PATTERN
from kbd.inbox.errors import InvalidJob, Problem
from kbd.inbox.sizes import NonNegative, Resolver, Size, Size3, names_in_all
from kbd.inbox.validation import StrictModel, collect

GRID_LIMITS = ((1 << 31) - 1, 65_535, 65_535)
"""Blocks along x, y and z (CUDA C++ Programming Guide, technical specifications per compute capability)."""

BLOCK_LIMITS = (1024, 1024, 64)
THREADS_PER_BLOCK_LIMIT = 1024
CLUSTER_BLOCKS_LIMIT = 16
SHARED_BYTES_LIMIT = 1 << 20
"""Beyond any device of today (227 KiB); the device itself has the last word."""

_SPACE = ("x", "y", "z")
_LIMITS = {"grid": GRID_LIMITS, "block": BLOCK_LIMITS, "cluster": (CLUSTER_BLOCKS_LIMIT,) * 3}
_PRODUCT_LIMITS = {"block": THREADS_PER_BLOCK_LIMIT, "cluster": CLUSTER_BLOCKS_LIMIT}
_Sizes = tuple[int | str, int | str, int | str]


class TunedGrid(StrictModel):
    """A grid that depends on constants which the kernel's own configurations choose, launch by launch.

    Attributes:
        sizes: along x, y and z, in terms of those constants and of `bindings`.
        bindings: what the workload and the arguments have bound.
    """

    sizes: _Sizes
    bindings: dict[str, int]

    def under(self, chosen: Mapping[str, object]) -> tuple[int, int, int]:
        """Blocks along x, y and z under the constants that were chosen. Raises InvalidJob."""
        constants = {name: value for name, value in chosen.items() if isinstance(value, int)}
        resolver = Resolver({**constants, **self.bindings})
        grid = _bind("grid", self.sizes, resolver, "/launch/grid")
        if resolver.problems:
            raise InvalidJob(resolver.problems)
        return grid


class BoundLaunch(StrictModel):
    """A launch in numbers. Counts are along x, y and z; None is left to the backend.

    `tuned_grid` is there in place of `grid` where only the kernel's configuration gives it its numbers.
    """

    grid: tuple[int, int, int] | None = None
    tuned_grid: TunedGrid | None = None
    block: tuple[int, int, int] | None = None
    shared_mem_bytes: NonNegative | None = None
    num_warps: int | None = None
    num_stages: int | None = None
    cluster: tuple[int, int, int] | None = None


class LaunchConfig(StrictModel):
    """A launch, perhaps in terms of axes and integer arguments.

    Attributes:
        grid: blocks; a number, an expression, a list, or {x, y, z}.
        block: threads of a block, at most 1024; CUDA only.
        shared_mem_bytes: dynamic shared memory; CUDA only.
        num_warps: warps of a program; Triton only.
        num_stages: software pipeline stages; Triton only.
        cluster: blocks of a thread-block cluster.
        tuned: names in the grid that the kernel's own configurations choose (autotune, heuristics); Triton only.
    """

    grid: Size3 | None = None
    block: Size3 | None = None
    shared_mem_bytes: Size | None = None
    num_warps: Literal[1, 2, 4, 8, 16, 32] | None = None
    num_stages: Annotated[int, Field(ge=1, le=64)] | None = None
    cluster: Size3 | None = None
    tuned: tuple[Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$")], ...] = ()

    @field_validator("grid", "block", "cluster")
    @classmethod
    def _check_numbers(cls, sizes: _Sizes | None, context: ValidationInfo) -> _Sizes | None:
        """What can be seen before the axes are known."""
        if sizes is not None:
            collect(_numbers_problems(str(context.field_name), sizes))
        return sizes

    @field_validator("shared_mem_bytes")
    @classmethod
    def _check_shared(cls, size: int | str | None) -> int | str | None:
        if isinstance(size, int):
            resolver = Resolver({})
            resolver.number(size, "", 0, SHARED_BYTES_LIMIT)
            collect(resolver.problems)
        return size

    def sizes(self) -> Iterator[tuple[str, int | str]]:
        """Every size with its pointer relative to the launch."""
        for name in ("grid", "block", "cluster"):
            for axis, size in zip(_SPACE, getattr(self, name) or (), strict=False):
                yield f"/{name}/{axis}", size
        if self.shared_mem_bytes is not None:
            yield "/shared_mem_bytes", self.shared_mem_bytes

    def bind(self, resolver: Resolver, pointer: str) -> BoundLaunch:
        """The launch in numbers; what is wrong with them goes to the resolver's problems."""
        tuned_grid = self._tuned_grid(resolver, pointer)
        sizes_of = {"grid": None if tuned_grid else self.grid, "block": self.block, "cluster": self.cluster}
        grid, block, cluster = (
            None if sizes is None else _bind(name, sizes, resolver, f"{pointer}/{name}")
            for name, sizes in sizes_of.items()
        )
        if grid is not None and cluster is not None:
            resolver.problems += _cluster_problems(grid, cluster, f"{pointer}/cluster")
        shared = self.shared_mem_bytes
        if shared is not None:
            shared = resolver.number(shared, f"{pointer}/shared_mem_bytes", 0, SHARED_BYTES_LIMIT)
        return BoundLaunch(
            grid=grid,
            tuned_grid=tuned_grid,
            block=block,
            shared_mem_bytes=shared,
            num_warps=self.num_warps,
            num_stages=self.num_stages,
            cluster=cluster,
        )

    def _tuned_grid(self, resolver: Resolver, pointer: str) -> TunedGrid | None:
        names = names_in_all(self.grid or ())
        if self.grid is None or names.isdisjoint(self.tuned):
            return None
        fixed = sorted(names.difference(self.tuned))
        if missing := [name for name in fixed if name not in resolver.bindings]:
            resolver.problems.append(Problem(f"{pointer}/grid", f"{', '.join(missing)} is not bound"))
        bindings = {name: resolver.bindings[name] for name in fixed if name in resolver.bindings}
        return TunedGrid(sizes=self.grid, bindings=bindings)


def _numbers_problems(name: str, sizes: _Sizes) -> list[Problem]:
    """Problems of those sizes that are numbers; expressions count as 1."""
    resolver = Resolver({})
    x, y, z = (size if isinstance(size, int) else 1 for size in sizes)
    _bind(name, (x, y, z), resolver, "")
    return resolver.problems


def _bind(name: str, sizes: _Sizes, resolver: Resolver, pointer: str) -> tuple[int, int, int]:
    known = len(resolver.problems)
    x, y, z = (
        resolver.number(size, f"{pointer}/{axis}", 1, limit, f"the {name}")
        for size, axis, limit in zip(sizes, _SPACE, _LIMITS[name], strict=True)
    )
    most = _PRODUCT_LIMITS.get(name)
    if most is not None and x * y * z > most and len(resolver.problems) == known:
        found = f"{x} x {y} x {z} = {x * y * z}"
        hint = f"use a smaller {name} and a larger grid" if name == "block" else "8 are portable"
        resolver.problems.append(Problem(pointer, f"the {name} is too large", f"at most {most}", found, hint))
    return x, y, z


def _cluster_problems(
    grid: tuple[int, int, int], cluster: tuple[int, int, int], pointer: str
) -> Iterator[Problem]:
    if any(along % size for along, size in zip(grid, cluster, strict=True)):
        found = f"grid {list(grid)}, cluster {list(cluster)}"
        hint = "enlarge the grid, or choose another cluster"
        yield Problem(pointer, "the grid is no multiple of the cluster", found=found, hint=hint)
