"""The daemon's end of `control/`: finds requests, writes answers, keeps the folder tidy.

As with the inbox a look is the truth and events only say when to look. What is no request goes to quarantine,
once it has not changed for a while: a program may have written it under its final name. What cannot be read goes
there once that has lasted, and keeps nobody else waiting.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kbd.inbox.claim import Deferred, Refusal, Refused
from kbd.inbox.control import Answer, AnswerCode, ControlRequest, answer_path, read_request, token_of
from kbd.inbox.control import request_path as path_of_request
from kbd.inbox.durable import make_folder, remove, write_durably
from kbd.inbox.errors import InboxError, InvalidJob
from kbd.inbox.failed_reads import READ_AGAIN_S, FailedReads
from kbd.inbox.names import is_ignored
from kbd.inbox.quarantine import Quarantine
from kbd.inbox.sighting import Signature
from kbd.inbox.spool import Spool
from kbd.inbox.tidying import remove_leftovers

logger = logging.getLogger(__name__)

LOOK_LIMIT: Final = 256
"""Requests read in one look; the others are due at once."""


@dataclass(frozen=True, slots=True)
class Requested:
    """A request, and the token under which it is answered."""

    token: str
    request: ControlRequest


class ControlReader:
    """Reads and answers requests. To be used by one thread at a time.

    Args:
        spool: whose control folder it is.
        clock: our own monotonic clock, in seconds.
        settle_s: how long something that is no request must be unchanged before it is taken for finished.
    """

    def __init__(
        self, spool: Spool, clock: Callable[[], float] = time.monotonic, settle_s: float = 2.0
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._settle_s = settle_s
        self._quarantine = Quarantine(spool)
        self._odd: dict[str, tuple[Signature, float]] = {}
        self._failed: dict[str, FailedReads] = {}
        self._seen_by_tidy: frozenset[str] = frozenset()
        self._has_more = False
        make_folder(spool.answers)  # spools made by an older version have none

    def look(self) -> list[Requested]:
        """The requests that lie there, the oldest first; each is returned until it is answered.

        Raises SpoolMissing, and OSError when the folder cannot be listed.
        """
        self._spool.require()
        entries = sorted(self._entries())
        self._has_more = len(entries) > LOOK_LIMIT
        names = {name for _, name, _ in entries}
        self._odd = {name: seen for name, seen in self._odd.items() if name in names}
        self._failed = {name: failed for name, failed in self._failed.items() if name in names}
        found = (self._read(name, signature) for _, name, signature in entries[:LOOK_LIMIT])
        return [requested for requested in found if requested is not None]

    def next_look_s(self) -> float | None:
        """In how many seconds to look again though nothing happens; None: at the regular time."""
        if self._has_more:
            return 0.0
        due_s = [since + self._settle_s - self._clock() for _, since in self._odd.values()]
        if self._failed:
            due_s.append(READ_AGAIN_S)
        return max(0.0, min(due_s)) if due_s else None

    def answer(self, token: str, answer: Answer) -> None:
        """Say durably what was done, then remove the request."""
        data = answer.model_dump_json(exclude_none=True).encode() + b"\n"
        write_durably(answer_path(self._spool, token), data, tmp_folder=self._spool.answers, overwrite=True)
        remove(path_of_request(self._spool, token))

    def tidy(self) -> int:
        """Remove answers that nobody took and files of writers that died: what the last call saw as well.

        So the time between two calls is how long something is kept at least, without a clock.
        """
        left = frozenset(self._answers_and_temporaries())
        removed = remove_leftovers(Path(path) for path in left & self._seen_by_tidy)
        self._seen_by_tidy = left
        return removed

    def _entries(self) -> Iterator[tuple[int, str, Signature]]:
        """(mtime, name, signature) of what may be a request. Times of one server order them well enough."""
        with os.scandir(self._spool.control) as entries:
            for entry in entries:
                if is_ignored(entry.name) or entry.path == os.fspath(self._spool.answers):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError:  # opening it says more, and the others are read nevertheless
                    yield 0, entry.name, Signature(0, 0, 0)
                    continue
                yield status.st_mtime_ns, entry.name, Signature.of(status)

    def _read(self, name: str, signature: Signature) -> Requested | None:
        path = self._spool.control / name
        try:
            request = read_request(path)
        except FileNotFoundError:
            return None  # withdrawn
        except InboxError as error:
            if self._has_settled(name, signature):
                self._refuse(path, error)
            return None
        except OSError as error:
            self._note_failure(path, error)
            return None
        self._odd.pop(name, None)
        self._failed.pop(name, None)
        return Requested(token_of(name) or "", request)

    def _note_failure(self, path: Path, error: OSError) -> None:
        """Only what somebody forgot to permit is ever refused; a file system that fails may do so for hours."""
        now = self._clock()
        self._odd.pop(path.name, None)
        failed = self._failed[path.name] = FailedReads.one_more(self._failed.get(path.name), now)
        if isinstance(error, PermissionError) and failed.are_a_verdict(now):
            self._refuse(path, error)
        elif failed.times == 1:
            logger.warning(
                "a request cannot be read now",
                extra={"action": "deferred", "path": os.fspath(path), "reason": str(error)},
            )

    def _has_settled(self, name: str, signature: Signature) -> bool:
        known, since = self._odd.get(name, (None, 0.0))
        if known != signature:
            self._odd[name] = (signature, self._clock())
            return self._settle_s <= 0
        return self._clock() - since >= self._settle_s

    def _refuse(self, path: Path, error: InboxError | OSError) -> None:
        """To quarantine with it; whoever waits for an answer is told."""
        problems = error.problems if isinstance(error, InvalidJob) else ()
        message = str(error) if isinstance(error, InboxError) else _why_unreadable(path, error)
        refused = Refused(path, None, None, Refusal.INVALID_REQUEST, problems, message)
        (moved,) = self._quarantine.put_all([refused])
        if isinstance(moved, Deferred):
            logger.warning(moved.message, extra={"action": "deferred", "path": os.fspath(path)})
            if path.name in self._odd:  # not at once: a full disk would keep the daemon busy
                self._odd[path.name] = (self._odd[path.name][0], self._clock())
            return
        self._odd.pop(path.name, None)
        self._failed.pop(path.name, None)
        logger.warning("no request", extra={"action": "request_refused", "reason": message})
        token = token_of(path.name)
        if token is not None:
            self.answer(token, Answer(code=AnswerCode.REFUSED, message=message))

    def _answers_and_temporaries(self) -> Iterator[str]:
        with os.scandir(self._spool.answers) as entries:
            yield from (entry.path for entry in entries)
        with os.scandir(self._spool.control) as entries:
            yield from (entry.path for entry in entries if entry.name.endswith(".tmp"))


def _why_unreadable(path: Path, error: OSError) -> str:
    return f"{path.name} cannot be read: {error.strerror}; make it readable for the daemon (chmod a+r), ask again"
