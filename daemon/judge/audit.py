"""The secret audit of timed bursts: what some of their launches left is compared with the reference's.

Which turns are audited nobody can know before they begin, nor which launches of them before they are over. Only a
runner that has to keep what its launches return is told when such a turn begins.
A kernel that computed while it was judged and not while it was timed is found: the contents were new, and the
same at the reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch

from kbd.daemon.judge.bench import Bench
from kbd.daemon.judge.compare import agrees, compare
from kbd.daemon.judge.expected import Yardstick
from kbd.daemon.judge.glance import Glance
from kbd.daemon.judge.runner_link import RunnerFailed
from kbd.outbox.performance import Audit
from kbd.outbox.report import Suspicion

FEWEST: Final = 4
"""So many turns of any job are audited, or all where there are fewer."""
FEW_TURNS: Final = 16
STEPS: Final = ((12, 3), (24, 4), (math.inf, 16))
"""Of a longer job one turn in each step of so many, which are longer after the first turns: most jobs end soon."""
PLACES: Final = 8
GLANCES: Final = 8
UNFINISHED: Final = (
    "{changed} parts of what its launches left were not there yet when its process said that they were done, and "
    "were a moment later"
)


class Suspicious(Exception):
    """A kernel did what no honest one can do; the evidence is for its author to read.

    `despite_load`: nothing else that a host does has a part in it.
    """

    def __init__(self, rule: str, evidence: str, *, despite_load: bool = False) -> None:
        super().__init__(evidence)
        self.suspicion = Suspicion(rule=rule, evidence=evidence)
        self.despite_load = despite_load


class Auditor:
    """Decides in secret which turns are compared, and compares them. At most `samples` are taken."""

    def __init__(self, bench: Bench, yardsticks: Sequence[Yardstick], samples: int) -> None:
        self._bench = bench
        self._yardsticks = yardsticks
        self._samples = samples
        self._due: set[int] = set()
        self._decided = 0
        self._turns = 0
        self._compared = 0
        self._failed = 0
        self._comparable = True
        self._places: list[tuple[int, int]] = []
        on_device = bench.candidate.takes_turns_on_device
        self._glance = Glance(bench.device, GLANCES) if bench.can_compare and on_device else None

    @property
    def owes(self) -> bool:
        """Whether a turn is still to be compared before the timing may end."""
        return self._bench.can_compare and self._comparable and not self._compared

    def is_due(self, turn: int) -> bool:
        """Whether this turn will be compared; to be asked once for every turn, before it."""
        self._turns += 1
        if turn == 0:
            self._decide_anew()
        while turn >= self._decided:
            self._decide_step()
        if not (self._bench.can_compare and self._comparable):
            return False
        return turn in self._due

    def _decide_anew(self) -> None:
        # Where turns that are compared are no samples, there are as many more of them.
        turns = self._samples + (FEWEST if self._bench.keeps else 0)
        few = turns <= FEW_TURNS
        self._decided = turns if few else 0
        self._due = set(self._bench.some_below(turns, FEWEST)) if few else set()

    def _decide_step(self) -> None:
        length = next(length for end, length in STEPS if self._decided < end)
        self._due.update(self._decided + place for place in self._bench.some_below(length, 1))
        self._decided += length

    def choose(self) -> None:
        """Choose in secret which launches of the coming turn will be compared."""
        self._places = self._bench.shared_places(PLACES)
        if self._glance is not None:
            self._glance.choose(self._bench.left_at_once(GLANCES), self._bench.secret)

    def glance(self) -> None:
        """Look at what the candidate left, in the moment in which its bursts are over."""
        if self._glance is not None:
            self._glance.take()

    def check(self) -> None:
        """Compare what the launches that were chosen left in the turn that is just over.

        Raises Suspicious or RunnerTrouble.
        """
        if not self._places:
            return
        try:
            expected, found = self._bench.outputs_at(self._places)
        except RunnerFailed as error:
            if error.role != "reference":
                raise
            self._comparable = False  # its outputs have another shape for every input
            return
        if not expected:
            self._comparable = False  # no tensor is returned
            return
        self._compared += 1
        if problem := self._problem(expected, found) or self._view():
            self._failed += 1
            raise Suspicious("timed_output_wrong", problem)
        if self._glance is not None and (changed := self._glance.changed()):
            self._failed += 1
            raise Suspicious("unfinished_when_done", UNFINISHED.format(changed=changed))

    def _problem(self, expected: Sequence[torch.Tensor], found: Sequence[torch.Tensor]) -> str | None:
        if len(found) != len(expected):
            return f"{len(found)} tensors are returned in a launch that is timed, {len(expected)} when judged"
        judged = zip(self._yardsticks, expected, found, strict=False)
        return next(filter(None, (_problem(*one) for one in judged)), None)

    def _view(self) -> str | None:
        """Whatever it returned when it was judged had memory of its own, unless the reference's had not either."""
        candidate, reference = self._bench.candidate, self._bench.reference
        assert reference is not None
        if candidate.left.views and not (reference.left.views or candidate.written):
            return (
                "while it is timed it returns memory of its input, one tensor several times, or elements on top of "
                "each other, and returned memory of their own whenever it was judged"
            )
        return None

    def report(self) -> Audit | None:
        """How many turns there were, and how many of them were compared."""
        if self._bench.reference is None:
            return None
        return Audit(bursts=self._turns, compared=self._compared, failed=self._failed)


def _problem(yardstick: Yardstick, want: torch.Tensor, have: torch.Tensor) -> str | None:
    if want.shape != have.shape or want.dtype != have.dtype:
        return f"{yardstick.name} has another shape or dtype while it is timed than while it is judged"
    if agrees(want, have, yardstick.between_kernels):
        return None
    comparison = compare(want, have, yardstick.between_kernels)
    if comparison.passes(yardstick.required_matched_ratio):
        return None
    return (
        f"{yardstick.name} was right whenever it was judged, and wrong in a launch that was timed: "
        f"{1 - comparison.matched_ratio:.2%} of the elements of {want.shape[0]} launches differ from the "
        f"reference's; worst: expected {comparison.expected:.9g}, found {comparison.found:.9g}"
    )
