"""Which jobs somebody asks for, as SQL that starts from the right end.

Which index to start from decides between a millisecond and seconds: going through all completed jobs to find
those of an owner who has none, or through a label everybody uses to find jobs of a rare state. SQLite keeps
no statistics that would tell, so the choice is made here and the other conditions are written such that no
index fits them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kbd.store.states import JobState

FEW_JOBS: Final = 20_000
"""States and statuses with at most this many jobs are read whole before anything else is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Conditions that all apply; None: no such condition. `since`: Unix seconds, arrived then or later."""

    state: JobState | None = None
    status: str | None = None
    label: tuple[str, str] | None = None
    owner: str | None = None
    since: float | None = None

    @property
    def is_restrictive(self) -> bool:
        """Whether there is any condition."""
        return self != JobFilter()

    def columns(self) -> dict[str, str]:
        """The conditions about columns of `jobs`."""
        wanted = {"state": self.state, "status": self.status, "owner": self.owner}
        return {name: str(value) for name, value in wanted.items() if value is not None}

    def matches_any(self, tallies: Mapping[tuple[JobState, str], int]) -> bool:
        """Whether there are jobs of this state and status at all."""
        return any(count for key, count in tallies.items() if self._fits(*key))

    def start(self, tallies: Mapping[tuple[JobState, str], int]) -> str | None:
        """Which condition to start from: a rare state or status, else the one that is mostly selective."""
        sizes = {
            "state": sum(count for (state, _), count in tallies.items() if state == self.state),
            "status": sum(count for (_, status), count in tallies.items() if status == self.status),
        }
        rare = [name for name in sorted(sizes, key=sizes.__getitem__) if sizes[name] <= FEW_JOBS]
        wanted = {*self.columns(), *(["label"] if self.label else [])}
        return next((name for name in (*rare, "label", "owner", "status", "state") if name in wanted), None)

    def sql(self, start: str | None) -> tuple[str, list[str], dict[str, str | float]]:
        """The tables to read, the conditions, and the values of their parameters."""
        values: dict[str, str | float] = {**self.columns()}
        conditions = [f"jobs.{name}{'' if name == start else _WITHOUT_INDEX} = :{name}" for name in values]
        if self.since is not None:
            conditions.append(ARRIVED)
            values["since"] = self.since
        if self.label is None:
            return "jobs", conditions, values
        values |= {"label_key": self.label[0], "label_value": self.label[1]}
        if start == "label":
            return "labels CROSS JOIN jobs", [_LABELLED, *conditions], values
        return "jobs", [*conditions, _HAS_LABEL], values

    def _fits(self, state: JobState, status: str) -> bool:
        return self.state in (None, state) and self.status in (None, status)


_WITHOUT_INDEX: Final = " || ''"
# Found from the newest job backwards: no time has an index, and most questions are about the last hours.
# Jobs that were restored later than others arrived may have negative numbers.
ARRIVED: Final = (
    "jobs.sequence > COALESCE((SELECT sequence FROM jobs AS earlier WHERE earlier.submitted_at < :since "
    "ORDER BY sequence DESC LIMIT 1), -2147483648)"
)
_LABELLED: Final = "labels.key = :label_key AND labels.value = :label_value AND labels.job = jobs.sequence"
_HAS_LABEL: Final = f"EXISTS (SELECT 1 FROM labels WHERE {_LABELLED})"  # noqa: S608 - of constants
