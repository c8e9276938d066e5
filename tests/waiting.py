"""Waiting for what a daemon in another process does."""

import time

LOOK_EVERY_S = 0.1


def until(condition, what, *, limit_s):
    """What the condition gives, as soon as it is true."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {limit_s} s for: {what}"
        time.sleep(LOOK_EVERY_S)
    return found
