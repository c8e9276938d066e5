"""One job in flight, and waiting for many: what `concurrent.futures` does for calls."""

import asyncio
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from kbd.inbox.client.errors import IdTaken
from kbd.inbox.client.received import ReceivedResult

ANSWER_PATIENCE_S = 30.0


class Canceller(Protocol):
    """Who can have jobs cancelled: a Client."""

    def cancel(self, jobs: "Iterable[Job]", *, reason: str | None, timeout: float) -> "set[Job]":
        """Those that were cancelled, of the jobs that were given."""

    def trouble(self) -> str | None:
        """Why results cannot be looked for just now."""


class Job:
    """A job that was submitted, or that somebody waits for. Made by `Client.submit` and `Client.job`.

    `await job` gives its result as well. Giving up an await (`asyncio.wait_for`) leaves the job alone.

    Attributes:
        id: under which its result appears.
        sha256: of the bytes that its result must be of; None: of any.
    """

    def __init__(self, job_id: str, sha256: str | None, client: Canceller) -> None:
        self.id = job_id
        self.sha256 = sha256
        self._client = client
        self._arrival: Future[ReceivedResult] = Future()
        self._arrival.set_running_or_notify_cancel()  # whoever stops waiting must not stop the others

    def done(self) -> bool:
        """Whether the result, or an error in its place, is here."""
        return self._arrival.done()

    def result(self, timeout: float | None = None) -> ReceivedResult:
        """The verdict; waits for it.

        Args:
            timeout: seconds at most; None: as long as there is a daemon.

        Raises:
            TimeoutError: the time is over; the job goes on.
            NoDaemon: nobody works for it.
            IdTaken: the result under this id is that of another job.
            UnreadableResult: there is a file, and it is no result.
            ClientClosed: the client was closed before.
        """
        try:
            return self._arrival.result(timeout)
        except TimeoutError:
            trouble = self._client.trouble()
            why = f"; the outbox could not be read: {trouble}" if trouble else "; the job goes on"
            raise TimeoutError(f"no result of {self.id} within {timeout:g} s{why}") from None

    def cancel(self, *, reason: str | None = None, timeout: float = ANSWER_PATIENCE_S) -> bool:
        """Have the job ended wherever it is. True: its result will say `cancelled`; False: it had ended before.

        Raises NoAnswer (the request stands), NotCancelled, SpoolMissing and OSError.
        """
        return self in self._client.cancel([self], reason=reason, timeout=timeout)

    def add_done_callback(self, call: "Callable[[Job], object]") -> None:
        """Have `call(job)` called once it is done, in the client's thread, or at once. It must not wait."""
        self._arrival.add_done_callback(lambda _: call(self))

    def __await__(self) -> Generator[object, None, ReceivedResult]:
        return asyncio.wrap_future(self._arrival).__await__()

    def __repr__(self) -> str:
        return f"<Job {self.id} {'done' if self.done() else 'in flight'}>"

    def deliver(self, result: ReceivedResult) -> None:
        """The client's: hand the result over, or say that it is of another job."""
        if None not in (self.sha256, result.manifest_sha256) and self.sha256 != result.manifest_sha256:
            self.fail(
                IdTaken(
                    f"the result under the id {self.id} is that of another job, whose bytes differ; it stays. "
                    "Yours lies in quarantine: submit it under another id"
                )
            )
            return
        self._arrival.set_result(result)

    def fail(self, error: Exception) -> None:
        """The client's: say why there will be no result."""
        self._arrival.set_exception(error)


class Waited(NamedTuple):
    """The jobs that are done, and those that are not."""

    done: set[Job]
    not_done: set[Job]


def wait(
    jobs: Collection[Job], timeout: float | None = None, return_when: str = futures.ALL_COMPLETED
) -> Waited:
    """Wait for all jobs, or for the first (`concurrent.futures.FIRST_COMPLETED`); never raises for a job's fate."""
    by_future = _by_future(jobs)
    ended = futures.wait(by_future, timeout, return_when)
    return Waited(
        {by_future[future] for future in ended.done}, {by_future[future] for future in ended.not_done}
    )


def as_completed(jobs: Collection[Job], timeout: float | None = None) -> Iterator[Job]:
    """Each job once, as it is done. Raises TimeoutError when the time for all of them is over."""
    by_future = _by_future(jobs)
    for future in futures.as_completed(by_future, timeout):
        yield by_future[future]


def _by_future(jobs: Collection[Job]) -> "dict[Future[ReceivedResult], Job]":
    return {job._arrival: job for job in jobs}  # noqa: SLF001 - of the same module
