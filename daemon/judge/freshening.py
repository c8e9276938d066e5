"""New contents for the input sets, before every turn of bursts: nothing that is timed has been seen before.

By the cheapest means that keeps inputs valid. On a device, what the contract calls random is drawn again, and
everything else is dealt anew from a few originals; on the CPU, where that would take longer than the bursts,
some elements of each tensor are drawn again. Floating tensors that nobody may draw (a module's `get_inputs()`,
literal data) have some elements swapped, integers are only dealt.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from kbd.daemon.judge.bits import WORDS
from kbd.daemon.judge.draw import draw
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.tensor_init import InitKind, TensorInit

ELEMENTWISE = frozenset({InitKind.RANDN, InitKind.UNIFORM, InitKind.RANDINT})
LONGEST_STEP = 1024
SHORTEST_STEP = 32
"""Elements of which one is changed: as many as the last axis has, so that no row stays what a kernel knows."""
TOUCHED_LEAST = 16
TURNS_AHEAD = 16
PLACES_AHEAD = 1 << 16
MOST_ZEROS = 0.25


Write = Callable[[], object]
"""Puts contents, which are made already, into the memory of one kernel."""


@dataclass(frozen=True)
class Origin:
    """One input: originals to deal from, and how it is drawn where that is known.

    Attributes:
        originals: the same input as it was made several times.
        drawn: what the contract says of it; None where it is a module's or literal data, so that nobody knows
            what is valid.
        changes: whether kernels write it (inout), so that it must be made anew every time.
    """

    originals: Sequence[torch.Tensor]
    drawn: BoundTensor | None
    changes: bool = False

    @functools.cached_property
    def elementwise(self) -> BoundTensor | None:
        """What it is drawn by, where every element is drawn by itself."""
        content = self.drawn.content if self.drawn is not None else None
        return self.drawn if isinstance(content, TensorInit) and content.kind in ELEMENTWISE else None

    @property
    def swappable(self) -> bool:
        """Whether its elements may change places: nobody drew them, and no order is seen in them."""
        return (
            self.drawn is None
            and self.originals[0].dtype.is_floating_point
            and not any(map(_has_order, self.originals))
        )


def _has_order(tensor: torch.Tensor) -> bool:
    """Whether something seems to hold between the elements: sorted, symmetric, masked, mostly zeros.

    An exchange would make it an input that nobody has promised to deal with, and equal kernels may differ there.
    """
    values = tensor.double()
    if not bool(values.isfinite().all()):
        return True
    if values.numel() > 1 and int((values == 0).sum()) > MOST_ZEROS * values.numel():
        return True
    if values.dim() >= 2 and values.shape[-1] == values.shape[-2] and torch.equal(values, values.mT):
        return True
    steps = values.diff() if values.dim() else values.new_empty(0)
    return steps.numel() > 1 and bool((steps >= 0).all() or (steps <= 0).all())


class Freshener:
    """Fills the columns of one kernel's sets, and the same contents into another's."""

    def __init__(self, origins: Sequence[Origin], device: torch.device, seed: int) -> None:
        self._origins = origins
        self._stacked = [
            None if origin.elementwise is not None else torch.stack([_bits(one) for one in origin.originals])
            for origin in origins
        ]
        self._swappable = [origin.swappable for origin in origins]
        self.swaps = True
        """Whether elements of inputs that nobody may draw change places. False: such inputs bear no change."""
        self._device = device
        self._generator = torch.Generator(device=device).manual_seed(seed)
        self._seeds = random.Random(seed)  # noqa: S311 - secret is what it is seeded with

    def fill(self, columns: Sequence[torch.Tensor], copies: Sequence[torch.Tensor] | None = None) -> None:
        """Contents for every set, all of them new; the same for the `copies`."""
        for place, column in enumerate(columns):
            _all_of(self._renewed(place, column, None if copies is None else copies[place]))()

    def refreshing(
        self, columns: Sequence[torch.Tensor], copies: Sequence[torch.Tensor], chosen: torch.Tensor
    ) -> Callable[[], tuple[Write, Write]]:
        """To be called for new contents; gives what writes them to the columns, and what to the copies.

        `copies` get those of the sets that are `chosen`. On a device, which has no room for what is not written
        yet, all are written at once, and nothing is left to do.
        """
        steps: list[Iterator[tuple[Write, Write]]] = []
        for place, (column, copy) in enumerate(zip(columns, copies, strict=True)):
            if not self._may_touch(place, column):
                steps.append(self._renewing(place, column, copy, chosen))
            elif self._origins[place].elementwise is not None or (self.swaps and self._swappable[place]):
                steps.append(self._touching(place, _rows(column), _rows(copy), chosen))

        def refresh() -> tuple[Write, Write]:
            if self._device.type == "cpu":
                made = [next(step) for step in steps]
                return _all_of([write for write, _ in made]), _all_of([write for _, write in made])
            for step in steps:
                _all_of(next(step))()
            return _all_of(()), _all_of(())

        return refresh

    def _may_touch(self, place: int, column: torch.Tensor) -> bool:
        """Whether changing some elements will do: on the CPU, for what stays as it was put there."""
        origin = self._origins[place]
        plain = column.numel() > 0 and column[0].is_contiguous()
        return self._device.type == "cpu" and plain and not origin.changes

    def _renewing(
        self, place: int, column: torch.Tensor, copy: torch.Tensor, chosen: torch.Tensor
    ) -> Iterator[tuple[Write, Write]]:
        while True:
            yield self._renewed(place, column, copy, chosen)

    def _renewed(
        self,
        place: int,
        column: torch.Tensor,
        copy: torch.Tensor | None,
        chosen: torch.Tensor | slice = slice(None),
    ) -> tuple[Write, Write]:
        """Made in the judge's own memory: what lies in a column, its kernel may have changed by now."""
        if column.numel() == 0:
            return _all_of(()), _all_of(())
        made = self._made(place, column)
        return (
            lambda: _bits(column).copy_(made),
            lambda: None if copy is None else _bits(copy).copy_(made[chosen]),
        )

    def _made(self, place: int, column: torch.Tensor) -> torch.Tensor:
        """New contents for all sets of a column, as bits."""
        origin, stacked = self._origins[place], self._stacked[place]
        if stacked is None:
            return _bits(self._draws(origin, tuple(column.shape)))
        made = stacked[self._integers(stacked.shape[0], (column.shape[0],))]
        if self.swaps and self._swappable[place] and column[0].is_contiguous():
            flat = _rows(made)
            _swap(flat, *self._pairs(place, flat.shape[:1], flat.shape[1]))
        return made

    def _touching(
        self, place: int, rows: torch.Tensor, copy: torch.Tensor, chosen: torch.Tensor
    ) -> Iterator[tuple[Write, Write]]:
        """Change some elements of every set, in both kernels' memory alike.

        What several turns change is drawn at once, which takes hardly longer; nobody else can read it before.
        """
        change = _swap if self._origins[place].elementwise is None else _write
        while True:
            first, second = self._looked_ahead(place, *rows.shape)
            for one, two, copied_one, copied_two in zip(
                first, second, first[:, chosen], second[:, chosen], strict=True
            ):
                yield (
                    functools.partial(change, rows, one, two),
                    functools.partial(change, copy, copied_one, copied_two),
                )

    def _looked_ahead(self, place: int, sets: int, elements: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Places and what is written there, or to be exchanged with; turns first, then sets."""
        origin, step = self._origins[place], self._step(place)
        turns = min(max(PLACES_AHEAD // max(sets * _touched(elements, step), 1), 1), TURNS_AHEAD)
        if origin.elementwise is None:
            return self._pairs(place, (turns, sets), elements)
        places = self._spread((turns, sets), elements, step)
        return places, _bits(self._draws(origin, tuple(places.shape)))

    def _draws(self, origin: Origin, shape: tuple[int, ...]) -> torch.Tensor:
        assert origin.elementwise is not None
        wanted = origin.elementwise.model_copy(update={"shape": shape, "strides": None})
        return draw(wanted, self._seeds.getrandbits(62), self._device, None)

    def _step(self, place: int) -> int:
        """Of so many elements of an input one is changed."""
        shape = self._origins[place].originals[0].shape
        return min(max(shape[-1], SHORTEST_STEP), LONGEST_STEP) if len(shape) > 1 else LONGEST_STEP

    def _pairs(self, place: int, lead: tuple[int, ...], elements: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Places to exchange: the first in one half of a set, the second in the other."""
        half, step = elements // 2, self._step(place)
        return self._spread(lead, half, step), half + self._spread(lead, half, step)

    def _spread(self, lead: tuple[int, ...], elements: int, step: int) -> torch.Tensor:
        """Some places in every set, one in each of as many steps, so that no place comes twice."""
        count = _touched(elements, step)
        step = elements // max(count, 1)
        base = torch.arange(count, device=self._device) * step
        return base + self._integers(max(step, 1), (*lead, count))

    def _integers(self, below: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randint(0, below, shape, generator=self._generator, device=self._device)


def _all_of(writes: Sequence[Write]) -> Write:
    def write() -> None:
        for one in writes:
            one()

    return write


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The same memory as integers: not every operation knows every floating format."""
    return tensor.view(WORDS[tensor.dtype.itemsize]) if tensor.dtype.is_floating_point else tensor


def _rows(column: torch.Tensor) -> torch.Tensor:
    """Every set as one row of bits."""
    return _bits(column).view(column.shape[0], math.prod(column.shape[1:]))


def _touched(elements: int, step: int) -> int:
    """How many of a set's elements are changed."""
    rows = max(elements // step, 1)
    return min(rows * -(-TOUCHED_LEAST // rows), elements)


def _write(rows: torch.Tensor, places: torch.Tensor, values: torch.Tensor) -> None:
    rows.scatter_(1, places, values)


def _swap(rows: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> None:
    left, right = rows.gather(1, first), rows.gather(1, second)
    rows.scatter_(1, first, right)
    rows.scatter_(1, second, left)
