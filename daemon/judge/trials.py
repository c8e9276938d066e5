"""Which trials a workload gets, in which order, and where in memory.

Those that were asked for are on fresh inputs. Among them are put others, in an order that follows from the job's
secret seed, so that no kernel can tell by counting what is being done to it:

    altered   an earlier input with some of its elements exchanged: an answer kept under a few elements, a sum or
              a maximum of the input is found out
    again     an earlier input once more, at another address: the answer must be the same

Inputs lie at two places in turn: what was at an address a moment ago is no hint at what is there now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["fresh", "altered", "again"]
PLACES = 2
FEWEST_FRESH = 2  # one alone cannot show whether the output depends on the input


@dataclass(frozen=True)
class Trial:
    """One trial. `draw` is the number of its input, which `altered` and `again` share with an earlier one."""

    kind: Kind
    draw: int
    place: int

    @property
    def is_first(self) -> bool:
        """Whether the seeds that a contract gives are meant for it."""
        return self.draw == 0


def plan_trials(asked: int, seed: int) -> tuple[Trial, ...]:
    """All trials of one workload; the last one repeats an earlier input."""
    dice = np.random.default_rng(seed)
    fresh = max(asked, FEWEST_FRESH)
    start = int(dice.integers(PLACES))
    trials = [Trial("fresh", draw, _place(draw, start)) for draw in range(fresh)]
    altered = int(dice.integers(fresh))
    after = int(dice.integers(altered + 1, fresh + 1))
    trials.insert(after, Trial("altered", altered, trials[altered].place))
    repeated = int(dice.integers(fresh))
    place = next(trial.place for trial in trials if trial.draw == repeated)
    return (*trials, Trial("again", repeated, 1 - place))


def _place(draw: int, start: int) -> int:
    """Two in a row at one place, then two at the other: both a new and an old address get new content."""
    return (start + draw // 2) % PLACES
