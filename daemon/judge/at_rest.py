"""What a candidate's processes do while nothing is asked of them, from one of its turns to the next.

::

    nothing                            honest: they sleep
    more than a twentieth of a turn    no speed-up is told
    more than three of them            works_between_turns

In that time new contents lie in the candidate's input sets, and the reference has its turn: who works then computes
what nobody has asked for yet, or slows down the reference. CPU time is what a process has used and not what it has
waited for, so other load of the host has no part in it. Counted on the CPU alone.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from kbd.daemon.judge.audit import Suspicious
from kbd.daemon.judge.series import Series, TimedKernels

RULE: Final = "works_between_turns"
AT_WORK: Final = "the candidate's processes were at work between its turns, when nothing was asked of them"
PROOF_SHARE: Final = 0.15
UNTOLD_SHARE: Final = 0.05
MARGIN_US: Final = 100.0
REFERENCE_FACTOR: Final = 1.5
"""Where the reference's processes do not sleep either, the candidate's are not to blame for as much."""


def works_at_rest(timed: TimedKernels, share: float = UNTOLD_SHARE) -> bool:
    """Whether they used more than this share of what the launches of a turn take."""
    used = timed.candidate.at_rest_us
    return bool(used) and median(used) > _allowed_us(timed.candidate, timed.reference, share)


def check_rest(timed: TimedKernels) -> None:
    """Raise Suspicious where what they did at rest can have made a difference."""
    if works_at_rest(timed, PROOF_SHARE):
        used, allowed = timed.candidate.at_rest_us, _allowed_us(timed.candidate, timed.reference, PROOF_SHARE)
        raise Suspicious(
            RULE,
            f"its processes used {median(used):.0f} us of the CPU from one turn to the next, when nothing was "
            f"asked of them; {allowed:.0f} us at most are allowed: work is done before it is asked for, or the "
            "reference is kept from its own",
            despite_load=True,
        )


def _allowed_us(candidate: Series, reference: Series | None, share: float) -> float:
    if reference is None:
        return share * median(candidate.turns_us) + MARGIN_US
    theirs = median(reference.at_rest_us) if reference.at_rest_us else 0.0
    return REFERENCE_FACTOR * theirs + share * median(reference.turns_us) + MARGIN_US
