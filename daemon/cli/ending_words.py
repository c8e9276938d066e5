"""What a daemon that is stopping still waits for, in words. The snapshot may be another version's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.wording import counted, seconds

if TYPE_CHECKING:
    from kbd.inbox.spool_snapshot import SpoolSnapshot

MINUTES_FROM_S: Final = 600
NAMED: Final = 3
"""So many running jobs are named."""


def waits_for(ending: Mapping[str, Any], snapshot: "SpoolSnapshot | None") -> str:
    """Such as `for softmax and 3 queued jobs`, `for softmax to end, 27 s at most`."""
    if ending.get("over") is True:
        return "for no job any more"
    running = [one_line(str(job.get("id", "?"))) for job in (snapshot.running if snapshot else ())]
    left_s = ending.get("left_s")
    if isinstance(left_s, int | float):
        return _of_a_stop(running, left_s)
    queued = 0 if snapshot is None or snapshot.is_paused else snapshot.queue.get("submitted", 0)
    awaited = [*_named(running), *([counted(queued, "queued job")] if queued else [])]
    return f"for {_listed(awaited)}" if awaited else "for no job any more"


def _of_a_stop(running: list[str], left_s: float) -> str:
    if not running:
        return "for no job any more"
    if left_s <= 0:
        return (
            f"until {_listed(_named(running))} {'is' if len(running) == 1 else 'are'} put back into the queue"
        )
    left = seconds(left_s) if left_s >= MINUTES_FROM_S else f"{left_s:.0f} s"  # it was true a moment ago
    return f"for {_listed(_named(running))} to end, {left} at most"


def _named(job_ids: list[str]) -> list[str]:
    more = len(job_ids) - NAMED
    return [*job_ids[:NAMED], f"{counted(more, 'other job')}"] if more > 0 else job_ids


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
