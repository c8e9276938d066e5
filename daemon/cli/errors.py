"""How a command ends badly: one message that says what to do, and one exit code.

::

    click.ClickException
    └── CommandFailed         raised by commands; `code` is what the command ends with
"""

import errno
import os
from typing import Final

import click

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.inbox.errors import InboxError, InvalidJob
from kbd.outbox.errors import OutboxError
from kbd.store.errors import StoreError, StoreMissing

_DENIED: Final = "Work as a user who may use it, or let its owner give this one (uid {uid}) access. "
_FULL: Final = "Make room there, for example: kbd gc. "
_ADVICE: Final = {
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "Mount it so that it can be written. ",
    errno.ESTALE: "The file server gave it up: mount it again. ",
}


class CommandFailed(click.ClickException):
    """The command cannot do what was asked. The message says why and what to do."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


def failure_of(error: Exception) -> CommandFailed | None:
    """An error of the rooms below in the words of the command line; None for what is a defect of kbd."""
    from kbd.daemon.config import ConfigError
    from kbd.inbox.spool import SpoolMissing

    match error:
        case ConfigError():
            return CommandFailed(str(error), ExitCode.USAGE)
        case SpoolMissing() | StoreMissing():
            return CommandFailed(str(error), ExitCode.NOT_FOUND)
        case InvalidJob():
            return CommandFailed(str(error), ExitCode.REJECTED)
        case InboxError() | OutboxError() | StoreError():
            return CommandFailed(str(error), ExitCode.UNUSABLE)
        case OSError():
            return CommandFailed(_of_system(error), ExitCode.UNUSABLE)
    return None


def _of_system(error: OSError) -> str:
    if error.errno is None or error.strerror is None:
        return str(error)
    names = " → ".join(_shown(name) for name in (error.filename, error.filename2) if name is not None)
    advice = _ADVICE.get(error.errno, "")
    said = f"{names}: {error.strerror}" if names else error.strerror
    return f"{said}. {advice.format(uid=os.geteuid())}See: kbd doctor"


def _shown(name: str | bytes | int) -> str:
    """A file's name, or the number of the descriptor that stood for it."""
    return f"descriptor {name}" if isinstance(name, int) else os.fsdecode(name)
