"""Waiting for the daemon's answer to one request."""

from collections.abc import Callable

from kbd.inbox.control import Answer, take_answer
from kbd.inbox.rhythm import LOOK_INTERVAL_S, REAL_TIME, Rhythm, pause_after
from kbd.inbox.spool import Spool


def await_answer(
    spool: Spool,
    token: str,
    deadline: float,
    *,
    rhythm: Rhythm = REAL_TIME,
    meanwhile: Callable[[], None] = lambda: None,
) -> Answer | None:
    """The answer, or None when `rhythm.clock` has reached `deadline`.

    `meanwhile` is called every second; what it raises ends the wait. Raises OSError too.
    """
    started = rhythm.clock()
    look_at = started + LOOK_INTERVAL_S
    while (answer := take_answer(spool, token)) is None:
        now = rhythm.clock()
        if now >= deadline:
            return None
        if now >= look_at:
            look_at = now + LOOK_INTERVAL_S
            meanwhile()
        rhythm.pause(min(pause_after(now - started), deadline - now))
    return answer
