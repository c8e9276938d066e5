"""The bench on which kernels are timed: as many input sets as the memory allows, and new contents every turn.

::

    candidate's sets   0 1 2 3 4 5 6 …        each launched once a turn: cold, and never seen before
                           │   │ │
    reference's sets       0   1 2            the same contents, at places that only the judge knows

The kernel that is launched more often has the wider range of sets; the other one gets the contents of some of
them, chosen in secret, so that any launch of the candidate may be one that is compared.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from kbd.daemon.judge.device_speed import cache_bytes, forget_persisting_lines
from kbd.daemon.judge.freshening import Freshener, Write
from kbd.daemon.judge.timed_kernel import TimedKernel

EMPTY, SHORT, LONG, SINGLE = range(4)
"""The bursts of a turn."""
FLUSH_CACHES: Final = 2
ONCE_MORE: Final = 1  # a set of its own for the burst of a single launch
PROBED_LAUNCHES: Final = 8
"""Different sets that are launched before it is planned how many there will be."""


@dataclass(frozen=True)
class BurstPlan:
    """How many launches the short and the long burst of a kernel have."""

    short: int
    long: int

    @property
    def sets(self) -> int:
        """Input sets that are in use, that of the single launch included."""
        return self.short + self.long + ONCE_MORE

    def bursts(self, *, warm: bool) -> list[list[int]]:
        """No launch; the short burst; the long one; a single launch. `warm`: all on the same set."""
        ends = (0, self.short, self.short + self.long, self.sets)
        ranges = [list(range(first, last)) for first, last in itertools.pairwise(ends)]
        return [[], *([[0] * len(sets) for sets in ranges] if warm else ranges)]

    def launch_of(self, place: int) -> tuple[int, int]:
        """Which launch of which burst (the short or the long one) has the set at this place."""
        return (SHORT, place) if place < self.short else (LONG, place - self.short)


class Bench:
    """Both kernels with their sets. `plans` say which sets are in use; without them all are."""

    def __init__(
        self,
        candidate: TimedKernel,
        reference: TimedKernel | None,
        freshener: Freshener,
        device: torch.device,
        seed: int,
        *,
        warm: bool,
    ) -> None:
        self.candidate = candidate
        self.reference = reference
        self.device = device
        self.warm = warm
        self._freshener = freshener
        self.secret = random.Random(seed)  # noqa: S311 - secret is what it is seeded with
        self._chosen: list[int] = []
        self._pairs: list[list[tuple[int, int]]] = []
        self._freshen: Callable[[], tuple[Write, Write]] = _no_plan
        self._owed: Write = _nothing
        self._filled = 0
        self._candidate_plan: BurstPlan | None = None
        self._reference_plan: BurstPlan | None = None
        size = FLUSH_CACHES * cache_bytes(device) if device.type == "cuda" and not warm else 0
        self._flushed = torch.empty(size, dtype=torch.uint8, device=device)

    @property
    def can_compare(self) -> bool:
        """Whether what launches leave can be compared: not where each builds on what the last one left."""
        builds_on = any(kernel.written or kernel.adds_to_outputs for kernel in self.kernels)
        return self.reference is not None and not (self.warm and builds_on)

    @property
    def kernels(self) -> list[TimedKernel]:
        """The candidate, and the reference where there is one."""
        return [kernel for kernel in (self.candidate, self.reference) if kernel is not None]

    @property
    def keeps(self) -> bool:
        """Whether a turn that is to be compared is slower for one of both, and no sample."""
        return any(kernel.keeps for kernel in self.kernels)

    @property
    def sets_in_use(self) -> int:
        """Different input sets of the candidate that are timed."""
        assert self._candidate_plan is not None
        return 1 if self.warm else self._candidate_plan.sets - ONCE_MORE

    @property
    def bytes_in_use(self) -> int:
        """Bytes of the candidate's inputs that a turn reads."""
        return self.sets_in_use * self.candidate.inputs.stride

    def fill(self) -> None:
        """Contents for the sets that are launched before there is a plan; those that it takes are filled then."""
        self._filled = 0
        self._fill(PROBED_LAUNCHES)

    def _fill(self, sets: int) -> None:
        """Contents for so many sets of both kernels, where they have none yet."""
        new = slice(self._filled, min(sets, self.candidate.count))
        if new.start >= new.stop:
            return
        self._filled = new.stop
        copies = self.reference.inputs.columns if self.reference is not None else None
        self._freshener.fill(
            [column[new] for column in self.candidate.inputs.columns],
            None if copies is None else [copy[new] for copy in copies],
        )
        self.settle()

    def plan(self, candidate: BurstPlan, reference: BurstPlan | None) -> None:
        """From here on these many sets are in use; chooses in secret which contents both kernels share."""
        self._candidate_plan, self._reference_plan = candidate, reference
        self._fill(max(plan.sets for plan in (candidate, reference) if plan is not None))
        if reference is not None:
            narrow, wide = sorted((candidate.sets, reference.sets))
            self._chosen = list(range(narrow))
            if not self.warm:  # the last launches of both are a pair, and so are the single ones
                ends = ONCE_MORE + 1
                others = self.secret.sample(range(wide - ends), narrow - ends)
                self._chosen = [*others, *range(wide - ends, wide)]
            self._pairs = self._paired()
            self._align()
        self._freshen = self._freshening()

    def refresh(self, first: TimedKernel | None = None) -> None:
        """New contents for all sets in use, the same for both kernels; output buffers begin anew.

        With `first`, on the CPU, for that kernel alone: the other's are there after `refresh_other`. What a
        candidate cannot see yet it cannot compute while its reference is timed.
        """
        wide, narrow = self._freshen()
        if first is not None and first is self._sides()[1]:
            wide, narrow = narrow, wide
        wide()
        self._owed = narrow
        if first is None:
            self.refresh_other()
        for kernel in self.kernels:
            kernel.begin_outputs()

    def refresh_other(self) -> None:
        """What the latest `refresh` has left to be written."""
        owed, self._owed = self._owed, _nothing
        owed()

    def flush(self) -> None:
        """Leave nothing of the inputs in the device's cache, and wait until the judge's own work is over."""
        if self._flushed.numel():
            forget_persisting_lines()
            self._flushed.zero_()
        self.settle()

    def settle(self) -> None:
        """What the judge writes on the device must be over before another process reads it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def shared_places(self, most: int) -> list[tuple[int, int]]:
        """Some places (candidate's, reference's) with equal contents, timed in both; another choice every time.

        Those of one choice are in the same bursts: what a burst left is fetched in one piece.
        """
        if self.warm:
            return [(0, 0)]
        if not self._pairs:
            return []
        (alike,) = self.secret.choices(self._pairs, weights=[len(pairs) for pairs in self._pairs])
        return self.secret.sample(alike, min(most, len(alike)))

    def _paired(self) -> list[list[tuple[int, int]]]:
        """All places (candidate's, reference's) with equal contents; those in the same bursts of both together."""
        assert self._candidate_plan is not None
        assert self._reference_plan is not None
        alike: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for place, other in enumerate(self._chosen[:-ONCE_MORE]):
            ours, theirs = (place, other) if self._candidate_is_narrow else (other, place)
            bursts = self._candidate_plan.launch_of(ours)[0], self._reference_plan.launch_of(theirs)[0]
            alike.setdefault(bursts, []).append((ours, theirs))
        return list(alike.values())

    def outputs_at(self, places: Sequence[tuple[int, int]]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """What the launches on these sets left: the reference's, the candidate's; launches first.

        As in correctness: inout arguments count where the reference returns no tensor, and where they are all
        that the candidate gives.
        """
        assert self._candidate_plan is not None
        assert self._reference_plan is not None
        assert self.reference is not None
        ours, theirs = [list(side) for side in zip(*places, strict=True)]
        if not self.reference.returns:
            return self.reference.written_to(theirs), self.candidate.written_to(ours)
        expected = self._returned(self.reference, self._reference_plan, theirs)
        if not self.candidate.returns and self.candidate.written == len(expected):
            return expected, self.candidate.written_to(ours)
        return expected, self._returned(self.candidate, self._candidate_plan, ours)

    def left_at_once(self, most: int) -> list[torch.Tensor]:
        """Of some launches of the candidate's long burst, the last one first, one tensor that each will leave.

        Of the last one alone where all are on the same set.
        """
        candidate, plan = self.candidate, self._candidate_plan
        assert plan is not None
        last = plan.long - 1
        launches = [last, *self.secret.sample(range(last), min(most - 1, last))]
        if not candidate.returns:
            left = [candidate.written_at(0 if self.warm else plan.short + launch) for launch in launches]
        elif self.warm:
            left = [candidate.left.at_once(LONG, last, 0)]
        else:
            left = [candidate.left.at_once(LONG, launch, plan.short + launch) for launch in launches]
        return [self.secret.choice(tensors) for tensors in left if tensors]

    def some_below(self, limit: int, count: int) -> list[int]:
        """Different numbers from 0 to limit-1, as many as asked for where there are as many; unpredictable."""
        return self.secret.sample(range(limit), min(count, limit))

    def _returned(self, kernel: TimedKernel, plan: BurstPlan, places: Sequence[int]) -> list[torch.Tensor]:
        """Each output of the launches on these sets, all of one burst, in this order."""
        if self.warm:  # all are on the same set
            launch = self.secret.randrange(plan.long) if kernel.left.lies_apart else plan.long - 1
            return kernel.left.read(LONG, [launch], places)
        launches = [plan.launch_of(place) for place in places]
        return kernel.left.read(launches[0][0], [launch for _, launch in launches], places)

    @property
    def _candidate_is_narrow(self) -> bool:
        assert self._candidate_plan is not None
        assert self._reference_plan is not None
        return self._candidate_plan.sets <= self._reference_plan.sets

    def _sides(self) -> tuple[TimedKernel, TimedKernel | None, int]:
        """The kernel with more sets in use, the other, and how many the first uses."""
        assert self._candidate_plan is not None
        if self.reference is None or self._reference_plan is None:
            return self.candidate, None, self._candidate_plan.sets
        if self._candidate_is_narrow:
            return self.reference, self.candidate, self._reference_plan.sets
        return self.candidate, self.reference, self._candidate_plan.sets

    def _freshening(self) -> Callable[[], tuple[Write, Write]]:
        """What the plan takes to be given new contents, again and again."""
        wide, narrow, used = self._sides()
        columns = [column[:used] for column in wide.inputs.columns]
        shared = len(self._chosen) if narrow is not None else 0
        copies = [column[:shared] for column in (narrow or wide).inputs.columns]
        return self._freshener.refreshing(columns, copies, self._index(self._chosen[:shared]))

    def _align(self) -> None:
        """Equal contents at the places that were chosen.

        They are always the reference's: a candidate can write what it likes into its own sets, and must not
        decide so what both kernels are timed on.
        """
        assert self.reference is not None
        sources = self._sources()
        index = self._index(sources)
        for source, copy in zip(self.reference.inputs.columns, self.candidate.inputs.columns, strict=True):
            copy[: len(sources)].copy_(source[index])
        self.settle()

    def _sources(self) -> list[int]:
        """For each set of the candidate's that is in use, the reference's whose contents it gets."""
        if self._candidate_is_narrow:
            return self._chosen
        used = range(self._sides()[2])
        places = [*self._chosen, *sorted(set(used) - set(self._chosen))]
        return sorted(used, key=places.__getitem__)

    def _index(self, places: Sequence[int]) -> torch.Tensor:
        return torch.tensor(places, dtype=torch.int64, device=self.device)


def _nothing() -> None:
    pass


def _no_plan() -> tuple[Write, Write]:
    raise RuntimeError("nothing can be refreshed before it is planned which sets are used")
