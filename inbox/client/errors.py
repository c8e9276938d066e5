"""What a client can meet besides the errors of the inbox.

::

    InboxError
    └── ClientError
        ├── IdTaken             another job has this id; its result stays
        ├── NoDaemon            nobody has worked on the spool for as long as the client is patient
        ├── NoAnswer            the daemon did not answer a request in time; the request stands
        ├── NotCancelled        the daemon cannot cancel this job; the text says why
        ├── UnreadableResult    what lies in the outbox under this id is no result
        └── ClientClosed        the client was closed, or belongs to another process
"""

from kbd.inbox.errors import InboxError


class ClientError(InboxError):
    """Base of what the client itself raises; the text says what to do."""


class IdTaken(ClientError):
    """Another job, of other bytes, has the same id."""


class NoDaemon(ClientError):
    """There was no sign of a daemon for too long. The job stays in the spool, and is judged when one starts."""


class NoAnswer(ClientError):
    """A request was written and not answered in time."""


class NotCancelled(ClientError):
    """The daemon refused to cancel a job, or knows none of this id."""


class UnreadableResult(ClientError):
    """A file of the outbox that is no result."""


class ClientClosed(ClientError):
    """Nobody looks for results any more."""
