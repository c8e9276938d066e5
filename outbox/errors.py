"""What can go wrong on the way out.

```
OutboxError
├── PublishConflict     another result has this job's name already; the first one stays
└── UnreadableResult    a result file is not what this version of kbd can read
```
"""


class OutboxError(Exception):
    """Base of all errors of this room."""


class PublishConflict(OutboxError):
    """A different result was published for this job before. The published one is never touched."""


class UnreadableResult(OutboxError):
    """A text that should be a result is none, or was written by a newer kbd."""
