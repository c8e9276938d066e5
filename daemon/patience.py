"""Opening a spool whose file server may hang: a command says so and ends, and does not hang with it."""

import threading
from pathlib import Path
from typing import Final

from kbd.inbox.errors import InboxError
from kbd.inbox.spool import Spool

PATIENCE_S: Final = 5.0


class SpoolSilent(InboxError):
    """The file system of the spool does not answer."""


def open_spool(root: Path, patience_s: float = PATIENCE_S) -> Spool:
    """The spool at `root`. Raises SpoolMissing, SpoolSilent, and what the file system says."""
    answers: list[Spool | Exception] = []

    def ask() -> None:
        try:
            answers.append(Spool.open(root))
        except Exception as error:  # noqa: BLE001 - raised again below
            answers.append(error)

    # Nobody can end a thread that waits for a file server; as a daemon it does not keep the command from ending.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience_s)
    if not answers:
        raise SpoolSilent(
            f"{root} does not answer for {patience_s:.0f} s: its file server hangs, or the network to it is away. "
            "Jobs and results are safe; the daemon goes on by itself once the server answers. "
            "Whether the daemon lives says, on its host: kbd health"
        )
    answer = answers[0]
    if isinstance(answer, Exception):
        raise answer
    return answer
