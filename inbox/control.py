"""Requests to the daemon, as files in `control/`, and its answers.

::

    client ──control/TOKEN.json──► daemon acts ──control/answers/TOKEN.json──► client
                                       └─ then removes the request: acting is at least once

Any program may write a request, whole and under its final name by a rename (a file `.NAME.tmp` first). Whoever
may write into `control/` may do everything that is said here; the folder's permissions decide who that is.
"""

import contextlib
import getpass
import os
import platform
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from kbd.inbox.durable import remove, write_durably
from kbd.inbox.errors import InboxError, Problem
from kbd.inbox.names import NAME_PATTERN
from kbd.inbox.safe_load import load_document, read_bounded
from kbd.inbox.spool import Spool
from kbd.inbox.tensor_init import MAX_SEED
from kbd.inbox.validation import StrictModel, collect, validate

REQUEST_SUFFIX: Final = ".json"
REQUEST_LIMIT_BYTES: Final = 16 << 10
ANSWER_LIMIT_BYTES: Final = 64 << 10

_WHO_LIMIT_CHARS: Final = 256

JobId = Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$")]


class Verb(StrEnum):
    """What a daemon can be asked to do."""

    CANCEL = "cancel"
    """End a job, wherever it is on its way."""
    RETRY = "retry"
    """Judge a finished job once more, under a new id."""
    RERUN = "rerun"
    """Judge a finished job once more on the same inputs, under a new id."""
    PAUSE = "pause"
    """Claim and start nothing more; what runs goes on."""
    RESUME = "resume"
    """The end of a pause, or of a drain."""
    DRAIN = "drain"
    """Claim nothing more, finish what is queued, end."""
    WAKE = "wake"
    """Look into the inbox now."""


_ABOUT_A_JOB: Final = frozenset({Verb.CANCEL, Verb.RETRY, Verb.RERUN})


class ControlRequest(StrictModel):
    """One request. `by` and `reason` are for people to read; nobody proves who he is.

    `seed` is of a rerun; None is that of the job's result.
    """

    version: Literal[1] = 1
    verb: Annotated[Verb, Field(description="what is to be done")]
    job_id: JobId | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    by: Annotated[str, Field(max_length=_WHO_LIMIT_CHARS)] | None = None
    reason: Annotated[str, Field(max_length=1024)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.job_id is None) == (self.verb in _ABOUT_A_JOB):
            expected = "the id of a job" if self.job_id is None else "null"
            hint = "add it" if self.job_id is None else f"remove it: {self.verb} is about the whole daemon"
            collect([Problem("/job_id", f"wrong for {self.verb}", expected, str(self.job_id), hint)])
        if self.seed is not None and self.verb is not Verb.RERUN:
            hint = f"remove it: {self.verb} draws no inputs"
            collect([Problem("/seed", f"wrong for {self.verb}", "null", str(self.seed), hint)])
        return self


class AnswerCode(StrEnum):
    """What came of a request, for programs."""

    DONE = "done"
    NOT_FOUND = "not_found"
    """No job has this id."""
    FINISHED = "finished"
    """The job had ended before; the message says how."""
    REFUSED = "refused"
    """It cannot be done; asking again does not help."""
    UNAVAILABLE = "unavailable"
    """A disk or the database fails just now; ask again later."""


class Answer(StrictModel):
    """What came of a request. `job_id`: the job it is about; after a retry, the new one."""

    version: Literal[1] = 1
    code: AnswerCode
    message: str
    job_id: str | None = None


def requester() -> str:
    """Who this process is, for `by`: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        user = "somebody"
    return f"{user}@{platform.node()}"[:_WHO_LIMIT_CHARS]


def ask(spool: Spool, request: ControlRequest) -> str:
    """Put a request where a daemon finds it, whole and durable. Returns its token.

    Raises SpoolMissing, and OSError with nothing left behind.
    """
    spool.require()
    token = secrets.token_hex(8)
    data = request.model_dump_json(exclude_none=True).encode() + b"\n"
    write_durably(request_path(spool, token), data, tmp_folder=spool.control, overwrite=False)
    return token


def withdraw(spool: Spool, token: str) -> bool:
    """Take a request back. False: a daemon had done with it; True says only that it will not act any more."""
    return remove(request_path(spool, token))


def take_answer(spool: Spool, token: str) -> Answer | None:
    """The answer to a request, which is removed; None while there is none.

    Found by listing the folder: a network file system would remember that a name was asked for in vain.
    """
    path = answer_path(spool, token)
    try:
        if path.name not in os.listdir(spool.answers):
            return None
        data = read_bounded(path, ANSWER_LIMIT_BYTES)
    except FileNotFoundError:
        return None
    answer = validate(Answer, load_document(data, REQUEST_SUFFIX).value)
    with contextlib.suppress(OSError):  # the daemon tidies up what we may not remove
        remove(path)
    return answer


def read_request(path: Path) -> ControlRequest:
    """The request in a file. Raises InboxError where it is none, and what the file system raises."""
    if token_of(path.name) is None:
        raise InboxError(f"{path.name} is no request: expected NAME.json, NAME like {NAME_PATTERN.pattern}")
    data = read_bounded(path, REQUEST_LIMIT_BYTES)
    return validate(ControlRequest, load_document(data, REQUEST_SUFFIX).value)


def token_of(file_name: str) -> str | None:
    """The token of a request by its file name; None for a name that no request has."""
    token = file_name.removesuffix(REQUEST_SUFFIX)
    is_name = token != file_name and NAME_PATTERN.fullmatch(token) is not None
    return token if is_name else None


def request_path(spool: Spool, token: str) -> Path:
    """Where a request lies until it was acted on."""
    return spool.control / f"{token}{REQUEST_SUFFIX}"


def answer_path(spool: Spool, token: str) -> Path:
    """Where its answer appears."""
    return spool.answers / f"{token}{REQUEST_SUFFIX}"
