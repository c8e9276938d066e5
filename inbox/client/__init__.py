"""A client for programs that make kernels: submit jobs, go on, and be told their verdicts.

::

    Client ──submit──► inbox/ID.json            (whole and durable, or not at all)
       │                  … daemon …
       └─ one thread ──looks into outbox/──► Job, Job, Job, …      one look serves all jobs in flight

It needs nothing but the spool's folder, so it works on every host that mounts it, and imports neither torch nor
the database.
"""

from kbd.inbox.client.client import Client
from kbd.inbox.client.errors import (
    ClientClosed,
    ClientError,
    IdTaken,
    NoAnswer,
    NoDaemon,
    NotCancelled,
    UnreadableResult,
)
from kbd.inbox.client.job import Job, as_completed, wait
from kbd.inbox.client.received import ReceivedResult

__all__ = [
    "Client",
    "ClientClosed",
    "ClientError",
    "IdTaken",
    "Job",
    "NoAnswer",
    "NoDaemon",
    "NotCancelled",
    "ReceivedResult",
    "UnreadableResult",
    "as_completed",
    "wait",
]
