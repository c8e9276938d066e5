"""How a command ends badly: one message that says what to do, and one exit code.

::

    click.ClickException
    └── CommandFailed         raised by commands; `code` is what the command ends with
"""

import click

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.inbox.errors import InboxError, InvalidJob
from kbd.outbox.errors import OutboxError
from kbd.store.errors import StoreError, StoreMissing


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
        case InboxError() | OutboxError() | StoreError() | OSError():
            return CommandFailed(str(error), ExitCode.UNUSABLE)
    return None
