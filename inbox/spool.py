"""The spool: one folder whose sub-folders are the queue, and how jobs lie in it.

```
SPOOL/
  .kbd-spool            sentinel: its absence means "not mounted", never "empty"
  inbox/[OWNER/]NAME    written by users
  outbox/               results; .tmp/ inside holds what is being written
  claimed/EPOCH/        what the daemon with this epoch has taken
  done/YYYYMMDD/        manifests of published jobs
  quarantine/           what could not be a job, each with NAME.reason.json
  control/TOKEN.json    requests to the daemon; answers/ inside holds what it did
  paused.json           there while the daemon is to start nothing
  lease/ status.json
```

Inside `claimed/EPOCH` and `done/DAY` a job keeps its name, because its id may come from it. Its owner and a
second job of the same name are told apart by folders: `[@OWNER/][+N/]NAME`. Names of users cannot clash with
these: `kbd.inbox.names.plain_name` leaves neither `@` nor `+` in them.
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kbd.inbox.durable import create_durably, fsync_folder, is_there, make_folder, rename_once
from kbd.inbox.errors import InboxError
from kbd.inbox.names import plain_name

_NUMBERED_PLACES = 9
_SENTINEL_TEXT = b"This folder is a kbd spool (layout 1). Without this file kbd takes it for not mounted.\n"


class SpoolMissing(InboxError):
    """The folder is no spool, or what holds it is not mounted: nothing in it may be taken for empty."""


@dataclass(frozen=True, slots=True)
class Spool:
    """Where everything of one spool lies. Build it with `Spool.create` or `Spool.open`."""

    root: Path

    @classmethod
    def create(cls, root: Path) -> Self:
        """Make a spool of a folder, or add what is missing to one. The sentinel comes last."""
        spool = cls(root.absolute())
        spool.root.mkdir(parents=True, exist_ok=True)
        spool._add_missing_folders()
        if not is_there(spool.sentinel):
            create_durably(spool.sentinel, _SENTINEL_TEXT)
            fsync_folder(spool.root)
        return spool

    @classmethod
    def open(cls, root: Path) -> Self:
        """The spool at `root`. Raises SpoolMissing when its sentinel is not there."""
        spool = cls(root.absolute())
        spool.require()
        return spool

    def require(self) -> None:
        """Raise SpoolMissing unless the sentinel can be opened just now (opening asks the server)."""
        try:
            os.close(os.open(self.sentinel, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SpoolMissing(
                f"{self.root} is not a spool: expected the file {self.sentinel.name} in it, found none. "
                "Mount the file system that holds it, or create one with: "
                f"kbd init --spool {shlex.quote(str(self.root))}"
            ) from error

    def mend(self) -> list[Path]:
        """Make the folders that an older version did not know or somebody has removed. Raises OSError.

        Returns those that were missing.
        """
        self.require()
        return self._add_missing_folders()

    def _add_missing_folders(self) -> list[Path]:
        return [folder for folder in self.folders if make_folder(folder)]

    @property
    def inbox(self) -> Path:
        """Where users put jobs."""
        return self.root / "inbox"

    @property
    def outbox(self) -> Path:
        """Where results appear, one JSON file per job id."""
        return self.root / "outbox"

    @property
    def outbox_tmp(self) -> Path:
        """Where results are written before they are linked into the outbox."""
        return self.outbox / ".tmp"

    @property
    def claimed(self) -> Path:
        """One folder per epoch, holding what the daemon of that epoch has taken."""
        return self.root / "claimed"

    @property
    def done(self) -> Path:
        """One folder per day (UTC), holding the manifests of published jobs."""
        return self.root / "done"

    @property
    def quarantine(self) -> Path:
        """What could not be a job, with its reasons. kbd never deletes from here by itself."""
        return self.root / "quarantine"

    @property
    def control(self) -> Path:
        """Requests from the CLI to the daemon."""
        return self.root / "control"

    @property
    def answers(self) -> Path:
        """What the daemon did about requests, each under the request's name."""
        return self.control / "answers"

    @property
    def pause_file(self) -> Path:
        """Who has paused the daemon, and why; absent when nobody has."""
        return self.root / "paused.json"

    @property
    def lease(self) -> Path:
        """Who owns the spool."""
        return self.root / "lease"

    @property
    def status_file(self) -> Path:
        """A small snapshot for hosts that cannot reach the database."""
        return self.root / "status.json"

    @property
    def sentinel(self) -> Path:
        """The file that says that the spool is really there."""
        return self.root / ".kbd-spool"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder of a spool that is complete."""
        return (
            self.inbox,
            self.outbox,
            self.outbox_tmp,
            self.claimed,
            self.done,
            self.quarantine,
            self.control,
            self.answers,
            self.lease,
        )


@dataclass(frozen=True, slots=True)
class ClaimedPath:
    """One job, or what was delivered as one, lying under `claimed/` or `done/`."""

    path: Path
    owner: str | None


def job_places(base: Path, owner: str | None) -> Iterator[Path]:
    """The folders under `base` in which a job of `owner` may lie, the usual one first, without end."""
    home = base if owner is None else base / f"@{owner}"
    yield home
    for number in range(2, _NUMBERED_PLACES + 1):
        yield home / f"+{number}"
    while True:
        yield home / f"+{os.urandom(8).hex()}"


def owner_of(path: Path, base: Path) -> str | None:
    """The owner of a job by where it lies under `base`, which is `claimed/`, `done/` or a folder in these."""
    folders = path.relative_to(base).parts[:-1]
    return next((folder.removeprefix("@") for folder in folders if folder.startswith("@")), None)


def move_to_place(source: Path, base: Path, owner: str | None) -> Path:
    """Rename a job into the first of its places under `base` that is free, under its plain name.

    Not durable by itself: fsync the folder of what is returned. Errors as of `rename_once`, but never
    FileExistsError.
    """
    name = plain_name(source.name)
    for folder in job_places(base, owner):
        _make_below(base, folder)
        try:
            rename_once(source, folder / name)
        except FileExistsError:
            continue
        return folder / name
    raise AssertionError("there is always another place")


def jobs_under(base: Path) -> Iterator[ClaimedPath]:
    """Every job under an epoch's (or a day's) folder, taken-over epochs included, in order of their names."""
    for entry in _sorted_entries(base):
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and re.fullmatch(r"takeover-\d+", entry.name):
            yield from jobs_under(Path(entry.path))
        elif is_folder and entry.name.startswith("@"):
            yield from _jobs_of(Path(entry.path), entry.name.removeprefix("@"))
        elif is_folder and entry.name.startswith("+"):
            yield from _jobs_of(Path(entry.path), None)
        else:
            yield ClaimedPath(Path(entry.path), None)


def _make_below(base: Path, folder: Path) -> None:
    """Make `folder` and what is between; never `base` itself, whose absence means that it was taken away."""
    below = base
    for part in folder.relative_to(base).parts:
        below = below / part
        make_folder(below)


def _jobs_of(folder: Path, owner: str | None) -> Iterator[ClaimedPath]:
    for entry in _sorted_entries(folder):
        if entry.name.startswith("+") and entry.is_dir(follow_symlinks=False):
            yield from _jobs_of(Path(entry.path), owner)
        else:
            yield ClaimedPath(Path(entry.path), owner)


def _sorted_entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, without what kbd tries there at its start: no name of a job begins with a dot."""
    with os.scandir(folder) as entries:
        jobs = (entry for entry in entries if not entry.name.startswith("."))
        return sorted(jobs, key=lambda entry: entry.name)
