"""The judge's end of a runner: ask, wait no longer than allowed, and know whose fault a silence is.

RunnerTrouble(role)
├── RunnerFailed       it answered with the user's own error
├── RunnerLost         it died or closed its channel in the middle of a question
├── RunnerSilent       no answer before the deadline
└── RunnerForged       what came is not an answer: somebody else wrote on the channel
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from kbd.daemon.executor.channel import (
    RUNNER_FRAME_BYTES,
    BadFrame,
    Channel,
    PeerGone,
    PeerSilent,
)
from kbd.daemon.executor.protocol import Role
from kbd.daemon.executor.runner_protocol import Answer, Failed, FromRunner, Question

NONCE_BYTES = 6
CLOCK_SLACK_S = 0.01


def new_nonce() -> int:
    """A number that nobody can know before it is sent; never 0, and small enough for JSON."""
    return int.from_bytes(os.urandom(NONCE_BYTES), "big") | 1


A = TypeVar("A", bound=Answer)


class RunnerTrouble(Exception):
    """A runner did not answer as it should; `role` says whose kernel it hosts."""

    def __init__(self, role: Role, message: str) -> None:
        super().__init__(message)
        self.role = role


class RunnerFailed(RunnerTrouble):
    """The user's code raised, or cannot be run here."""

    def __init__(self, role: Role, failed: Failed) -> None:
        super().__init__(role, failed.message)
        self.failed = failed


class RunnerLost(RunnerTrouble):
    """The runner died, or closed its channel, before it answered."""


class RunnerSilent(RunnerTrouble):
    """The runner did not answer in time.

    Where it was the job's time that was over, `answered_s` says how long both runners had taken for their answers.
    """

    def __init__(self, role: Role, limit_s: float, answered_s: Mapping[Role, float] | None = None) -> None:
        super().__init__(role, f"no answer within {limit_s:.1f} s")
        self.limit_s = limit_s
        self.answered_s = answered_s

    @property
    def other_used_it_up(self) -> bool:
        """Whether the job's time was over because of the other kernel.

        It took longer than all that this one had answered, and longer than was waited for this one in the end.
        """
        if self.answered_s is None:
            return False
        own_s = self.answered_s.get(self.role, 0.0)
        others_s = sum(self.answered_s.values()) - own_s
        return others_s > max(own_s, self.limit_s)


class RunnerForged(RunnerTrouble):
    """Something that is no answer arrived on the runner's channel."""


class Deadline:
    """When the whole job must be over, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._answered_s: dict[Role, float] = {}

    def limit(self, seconds: float) -> float:
        """The time that one answer may take: its own limit, or what is left of the job's."""
        return max(0.0, min(seconds, self._end - time.monotonic()))

    def extend(self, seconds: float) -> None:
        """So much was spent on waiting for others."""
        self._end += seconds

    def answered(self, role: Role, seconds: float) -> None:
        """So long was waited for an answer of this role's."""
        self._answered_s[role] = self._answered_s.get(role, 0.0) + seconds

    def silence(self, role: Role, limit_s: float) -> RunnerSilent:
        """No answer within this time; it tells who used up the job's, where that is over."""
        is_over = time.monotonic() > self._end - CLOCK_SLACK_S
        return RunnerSilent(role, limit_s, dict(self._answered_s) if is_over else None)


class RunnerLink:
    """Questions to one runner. Every answer is checked for its type."""

    rings: Final = True
    """Whether bursts that count are asked for at a doorbell; else by frames."""

    def __init__(
        self,
        role: Role,
        sock: socket.socket,
        deadline: Deadline,
        *,
        spin_s: float = 0.0,
    ) -> None:
        self.role: Role = role
        self._channel = Channel(sock, FromRunner, RUNNER_FRAME_BYTES)
        self._deadline = deadline
        self._spin_s = spin_s

    def ask(self, question: Question, answer: type[A], limit_s: float, descriptors: Sequence[int] = ()) -> A:
        """Send one message, wait for its answer. Raises RunnerTrouble."""
        limit_s = self.limit(limit_s)
        return self.answer_to(self.pose(question, limit_s, descriptors), answer, limit_s)

    def limit(self, seconds: float) -> float:
        """The time that one answer may take: this, or what is left of the job's."""
        return self._deadline.limit(seconds)

    def pose(self, question: Question, limit_s: float, descriptors: Sequence[int] = ()) -> int:
        """Send one message; returns the nonce that its answer will repeat. Raises RunnerTrouble."""
        nonce = new_nonce()
        try:
            question = question.model_copy(update={"nonce": nonce})
            self._channel.send(question, descriptors, timeout_s=max(limit_s, 0.001))
        except PeerGone as error:
            raise RunnerLost(self.role, str(error)) from None
        return nonce

    def answer_to(self, nonce: int, answer: type[A], limit_s: float) -> A:
        """Wait for the answer to the question with this nonce. Raises RunnerTrouble."""
        started = time.monotonic()
        try:
            found = self._channel.receive(limit_s)
        except PeerSilent:
            raise self._deadline.silence(self.role, limit_s) from None
        except PeerGone as error:
            raise RunnerLost(self.role, str(error)) from None
        except BadFrame as error:
            raise RunnerForged(self.role, str(error)) from None
        self._deadline.answered(self.role, time.monotonic() - started)
        if found.nonce != nonce:
            raise RunnerForged(self.role, f"{type(found).__name__} does not answer what was asked")
        if isinstance(found, Failed):
            raise RunnerFailed(self.role, found)
        if not isinstance(found, answer):
            raise RunnerForged(self.role, f"expected {answer.__name__}, found {type(found).__name__}")
        return found

    @property
    def has_news(self) -> bool:
        """Whether the runner said something or is gone, without waiting for it."""
        return self._channel.readable

    def ask_timed(self, question: Question, answer: type[A], limit_s: float) -> tuple[float, A]:
        """As `ask`, with the microseconds from sending to the answer's arrival by the judge's own clock."""
        self._channel.spin_s = self._spin_s
        started = time.perf_counter_ns()
        found = self.ask(question, answer, limit_s)
        self._channel.spin_s = 0.0
        return (self._channel.arrived_ns - started) / 1e3, found

    def close(self) -> None:
        """Let the runner go: it exits when its channel closes."""
        self._channel.close()
