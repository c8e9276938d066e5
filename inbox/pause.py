"""A pause: who wants the daemon to start nothing, and why. It lies in the spool, so it outlives every daemon."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from kbd.inbox.control import ControlRequest
from kbd.inbox.durable import remove, write_durably
from kbd.inbox.errors import InboxError
from kbd.inbox.safe_load import load_json, read_bounded
from kbd.inbox.spool import Spool
from kbd.inbox.validation import StrictModel, validate

LIMIT_BYTES: Final = 64 << 10


class Pause(StrictModel):
    """`since` is ISO 8601 by the daemon's clock, for people to read."""

    version: Literal[1] = 1
    by: str
    reason: str | None = None
    since: Annotated[str, Field(max_length=64)]

    @classmethod
    def wanted(cls, request: ControlRequest) -> Self:
        """The pause that a request asks for, from now on."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(by=request.by or "somebody", reason=request.reason, since=now)

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"by {self.by} since {self.since}{why}"


def read_pause(spool: Spool) -> Pause | None:
    """The pause that is in force. A file that cannot be understood counts as one: when in doubt, start nothing."""
    try:
        return validate(Pause, load_json(read_bounded(spool.pause_file, LIMIT_BYTES)))
    except FileNotFoundError:
        return None
    except InboxError as error:
        reason = f"{spool.pause_file.name} cannot be read ({error}); end it with: kbd resume"
        return Pause(by="somebody", reason=reason, since="an unknown time")


def keep_pause(spool: Spool, pause: Pause) -> None:
    """Let a pause outlive this daemon."""
    data = pause.model_dump_json(indent=2).encode() + b"\n"
    write_durably(spool.pause_file, data, tmp_folder=spool.control, overwrite=True)


def end_pause(spool: Spool) -> bool:
    """False when there was none."""
    return remove(spool.pause_file)
