"""The quarantine: what could not be a job, each with the reasons in `NAME.reason.json` beside it."""

import dataclasses
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kbd.inbox.claim import Deferred, Quarantined, Refused
from kbd.inbox.durable import is_there, rename_once, write_all_durably
from kbd.inbox.names import kept_plain
from kbd.inbox.spool import Spool

REASON_SUFFIX = ".reason.json"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Quarantine:
    """Moves refused deliveries out of `claimed/`.

    Args:
        spool: whose quarantine it is.
        now: the time written into reasons; only people read it.
    """

    def __init__(self, spool: Spool, now: Callable[[], datetime] = _utc_now) -> None:
        self._folder = spool.quarantine
        self._tmp_folder = spool.outbox_tmp  # swept at every start
        self._now = now

    def put_all(self, refusals: Sequence[Refused]) -> list[Quarantined | Deferred]:
        """Write all reasons durably, then move the subjects. One answer per refusal, in their order.

        Nothing ever lies in quarantine without its reason. When reasons cannot be written, all stay where
        they are and are Deferred.
        """
        places = self._choose_places(refusals)
        reasons = [
            (place.with_name(place.name + REASON_SUFFIX), self._reason(refused))
            for refused, place in zip(refusals, places, strict=True)
        ]
        try:
            write_all_durably(reasons, tmp_folder=self._tmp_folder, overwrite=True)
        except OSError as error:
            return [_deferred(refused, error) for refused in refusals]
        # Not fsynced: what a loss of power puts back under claimed/ is refused again.
        return [self._move(refused, place) for refused, place in zip(refusals, places, strict=True)]

    def _choose_places(self, refusals: Sequence[Refused]) -> list[Path]:
        chosen: dict[Path, None] = {}
        for refused in refusals:
            name = kept_plain(refused.path.name)  # what was claimed has a plain name
            place = self._folder / name
            # A delivery called x.reason.json must not pass for the reason of x.
            if name.endswith(REASON_SUFFIX) or place in chosen or is_there(place):
                place = self._folder / f"{name}.{secrets.token_hex(4)}"
            chosen[place] = None
        return list(chosen)

    def _move(self, refused: Refused, place: Path) -> Quarantined | Deferred:
        try:
            rename_once(refused.path, place)
        except FileNotFoundError:
            pass  # deleted meanwhile: its reason stands
        except OSError as error:
            return _deferred(refused, error)
        return Quarantined(
            place, refused.owner, refused.job_id, refused.code, refused.problems, refused.message
        )

    def _reason(self, refused: Refused) -> bytes:
        reason: dict[str, Any] = {
            "schema_version": 1,
            "name": refused.path.name,
            "owner": refused.owner,
            "job_id": refused.job_id,
            "code": refused.code.value,
            "message": refused.message,
            "problems": [dataclasses.asdict(problem) for problem in refused.problems],
            "quarantined_at": self._now().isoformat(timespec="seconds"),
        }
        return json.dumps(reason, indent=2).encode("ascii") + b"\n"


def _deferred(refused: Refused, error: OSError) -> Deferred:
    message = f"{refused.path} belongs into quarantine and cannot be moved there now: {error}"
    return Deferred(refused.path, refused.owner, True, error, message)
