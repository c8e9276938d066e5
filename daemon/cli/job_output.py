"""What a job has printed, as text that is safe to show.

::

    STATE/logs/jobs/ID/ATTEMPT/*.log ──read, again and again──► decoded, neutralised ──► pieces of text
"""

import codecs
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kbd.daemon.cli.printable import printable
from kbd.daemon.job_logs.archive import LogArchive
from kbd.daemon.job_logs.log_reader import LogReader
from kbd.inbox.rhythm import LOOK_INTERVAL_S, Rhythm

PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Printed:
    """Some text that a process of a job printed."""

    name: str
    attempt: int
    text: str


class _OneLog:
    """One log, decoded piece by piece; a character or line end that is cut in two is shown whole."""

    def __init__(self, name: str, attempt: int, reader: LogReader) -> None:
        self._name = name
        self._attempt = attempt
        self._reader = reader
        self._decoder = _decoder()

    def pieces(self) -> Iterator[Printed]:
        """What has come since the last time."""
        while (piece := self._reader.read()) is not None:
            gap = ""
            if piece.left_out:
                gap = f"\n… {piece.left_out} bytes left out …\n"
                self._decoder = _decoder()
            text = gap + printable(self._decoder.decode(piece.data))
            yield Printed(self._name, self._attempt, text)

    def rest(self) -> Iterator[Printed]:
        """The beginning of a character that never came."""
        if text := self._decoder.decode(b"", final=True):
            yield Printed(self._name, self._attempt, printable(text))

    @property
    def is_written(self) -> bool:
        return self._reader.is_written()


def _decoder() -> io.IncrementalNewlineDecoder:
    utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return io.IncrementalNewlineDecoder(utf8, translate=True)


class JobOutput:
    """The output of a job's latest attempt."""

    def __init__(
        self, archive: LogArchive, job_id: str, names: Sequence[str], rhythm: Rhythm | None = None
    ) -> None:
        self._archive = archive
        self._rhythm = rhythm or Rhythm()
        self._job_id = job_id
        self._names = names
        self._attempt = 0
        self._logs: list[_OneLog] = []

    def kept(self) -> Iterator[Printed]:
        """All that is there now. Raises OSError where the logs cannot be read."""
        self._go_on_to(max(self._archive.attempts(self._job_id), default=0))
        for log in self._logs:
            yield from log.pieces()
            yield from log.rest()

    def followed(self, is_over: Callable[[], bool]) -> Iterator[Printed]:
        """All that is there and all that comes, attempt after attempt, until the job is over.

        `is_over` is asked now and then, before the logs are read: what came before it is not overlooked.
        """
        rhythm = self._rhythm
        next_question = rhythm.clock()
        over = False
        while True:
            if rhythm.clock() >= next_question:
                over = is_over()
                next_question = rhythm.clock() + LOOK_INTERVAL_S
            later = [attempt for attempt in self._archive.attempts(self._job_id) if attempt > self._attempt]
            written = any(log.is_written for log in self._logs)
            for log in self._logs:
                yield from log.pieces()
            if later and not written:
                self._go_on_to(later[0] if self._attempt else later[-1])
            elif over and not written:
                break
            else:
                rhythm.pause(PAUSE_S)
        for log in self._logs:
            yield from log.rest()

    def _go_on_to(self, attempt: int) -> None:
        self._attempt = attempt
        self._logs = [
            _OneLog(name, attempt, LogReader(self._archive.path(self._job_id, attempt, name)))
            for name in self._names
        ]
