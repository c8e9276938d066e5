"""Asking a daemon to do something, through files, so that any host that mounts the spool can.

::

    kbd cancel ──control/TOKEN.json──► daemon
               ◄─control/answers/TOKEN.json, opened again and again──
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.place import Place
from kbd.daemon.cli.presence import DaemonWatch, Presence
from kbd.daemon.cli.printable import printable
from kbd.daemon.cli.wording import seconds
from kbd.inbox.rhythm import Rhythm

if TYPE_CHECKING:
    from kbd.inbox.control import Answer, ControlRequest

PATIENCE_S: Final = 30.0

reason_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--reason", metavar="TEXT", help="Why; shown to everybody who looks."
)
timeout_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    default=PATIENCE_S,
    metavar="S",
    help="Seconds to wait for the daemon's answer.",
)


class Asking:
    """Requests to the daemon of one place, and the wait for its answers.

    Args:
        place: whose daemon.
        timeout_s: how long to wait for all answers together.
        rhythm: clock and pause; tests bring their own.
    """

    def __init__(self, place: Place, timeout_s: float, rhythm: Rhythm | None = None) -> None:
        self._place = place
        self._spool = place.spool()
        self._daemon = DaemonWatch(place)
        self._timeout_s = timeout_s
        self._rhythm = rhythm or Rhythm()
        self._tokens: list[str] = []

    def answers(self, requests: "Sequence[ControlRequest]") -> "Iterator[Answer]":
        """Ask for all, then give the answers in the order of the requests.

        Raises:
            CommandFailed: no daemon works here (what was not done yet was taken back), or the time is over (what
                was asked for still stands).
        """
        from kbd.inbox.control import ask

        self._require_daemon()
        self._tokens = [ask(self._spool, request) for request in requests]
        deadline = self._rhythm.clock() + self._timeout_s
        for token in tuple(self._tokens):
            yield self._answer(token, deadline)
            self._tokens.remove(token)

    def _answer(self, token: str, deadline: float) -> "Answer":
        from kbd.inbox.answer_wait import await_answer

        answer = await_answer(
            self._spool, token, deadline, rhythm=self._rhythm, meanwhile=self._require_daemon
        )
        if answer is None:
            raise self._timed_out()
        return answer

    def _require_daemon(self) -> None:
        from kbd.inbox.control import withdraw

        if self._daemon.look().presence is not Presence.ABSENT:
            return
        for token in self._tokens:
            withdraw(self._spool, token)
        raise CommandFailed(
            f"no daemon works on {self._place.spool_root}, so nobody can do this. "
            f"Start one: kbd run{self._place.spool_flag}",
            ExitCode.NO_DAEMON,
        )

    def _timed_out(self) -> CommandFailed:
        return CommandFailed(
            f"the daemon did not answer within {seconds(self._timeout_s)}. The request stays in "
            f"{self._spool.control}, and is done when the daemon gets to it.",
            ExitCode.TIMEOUT,
        )


def request_for(
    verb: str, job_id: str | None = None, reason: str | None = None, seed: int | None = None
) -> "ControlRequest":
    """A request by whoever types. What cannot be one is a usage error."""
    from kbd.inbox.control import ControlRequest, requester
    from kbd.inbox.errors import InvalidJob
    from kbd.inbox.validation import validate

    document = {"verb": verb, "job_id": job_id, "seed": seed, "by": requester(), "reason": reason}
    try:
        return validate(ControlRequest, document)
    except InvalidJob as error:
        raise click.UsageError(str(error)) from error


def report(answers: "Iterator[Answer]", line: "Callable[[Answer], str]") -> ExitCode:
    """Print a line for each answer, on stdout what was done, on stderr what was not; the worst exit code."""
    code = ExitCode.OK
    for answer in answers:
        own = code_of(answer)
        said = line(answer) if own is ExitCode.OK else answer.message
        click.echo(printable(said), err=own is not ExitCode.OK)
        code = max(code, own)
    return code


def code_of(answer: "Answer") -> ExitCode:
    """What a command ends with after this answer. A job that has ended already needs no cancelling: fine."""
    from kbd.inbox.control import AnswerCode

    return {
        AnswerCode.DONE: ExitCode.OK,
        AnswerCode.FINISHED: ExitCode.OK,
        AnswerCode.NOT_FOUND: ExitCode.NOT_FOUND,
        AnswerCode.REFUSED: ExitCode.REJECTED,
        AnswerCode.UNAVAILABLE: ExitCode.UNUSABLE,
    }[answer.code]
