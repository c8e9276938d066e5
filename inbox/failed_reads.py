"""How often, and since when, something that users wrote could not be read.

One refusal is no verdict. On NFS a permission is denied for a moment while a Kerberos ticket is renewed, ids are
mapped or an export is mounted anew; who forgot `chmod` is refused each time. Times are of our own monotonic clock,
and begin anew with each daemon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

READ_AGAIN_S: Final = 2.0
"""How long something that could not be read is left alone."""

_VERDICT_READS: Final = 4
_VERDICT_AFTER_S: Final = 6.0


@dataclass(frozen=True, slots=True)
class FailedReads:
    """An unbroken row of them."""

    since: float
    times: int = 1

    @staticmethod
    def one_more(earlier: FailedReads | None, now: float) -> FailedReads:
        """The row with one that failed just now."""
        return FailedReads(now) if earlier is None else FailedReads(earlier.since, earlier.times + 1)

    def are_a_verdict(self, now: float) -> bool:
        """Whether waiting longer is not going to help."""
        return self.times >= _VERDICT_READS and now - self.since >= _VERDICT_AFTER_S
