"""What can go wrong with the store.

```
StoreError
├── StoreMissing         there is no database yet
├── StoreGone            there was one
├── StoreUnavailable     it is there, and cannot be opened or read just now
├── StoreNewer           a newer kbd has migrated it
├── StoreCorrupt         SQLite finds damage in it
├── UnknownJob           no job has this id
└── IllegalTransition    a job cannot go from its state to the wanted one
```
"""


class StoreError(Exception):
    """Base of all errors of this room."""


class StoreMissing(StoreError):
    """There is no database: no daemon has run with this state folder."""


class StoreGone(StoreError):
    """There was a database, and somebody has deleted it."""


class StoreUnavailable(StoreError):
    """The database is there, and cannot be opened or read just now."""


class StoreNewer(StoreError):
    """The database has a revision this version of kbd does not know."""


class StoreCorrupt(StoreError):
    """SQLite finds damage in the database."""


class UnknownJob(StoreError):
    """No job has this id."""


class IllegalTransition(StoreError):
    """A job cannot go from the state it is in to the wanted one."""
