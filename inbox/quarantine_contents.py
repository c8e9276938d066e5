"""What lies in quarantine: looking at it, putting a mended job back into the inbox, throwing things away.

Through files alone, so that any host does it that mounts the spool. The files are users' and hostile until read:
nothing is followed, and what a reason says is taken for what it is, text.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kbd.inbox.claim import Refusal
from kbd.inbox.delivery import deliver
from kbd.inbox.durable import fsync_folder, remove
from kbd.inbox.errors import InboxError, Problem, UnsafeFile
from kbd.inbox.job_file import read_job
from kbd.inbox.job_id import intended_id
from kbd.inbox.names import JOB_FOLDER_SUFFIX, MANIFEST_SUFFIXES, NAME_PATTERN, is_owner, job_name
from kbd.inbox.quarantine import REASON_SUFFIX
from kbd.inbox.renaming import DOCUMENT_LIMIT_BYTES, deliver_as
from kbd.inbox.result_files import read_published
from kbd.inbox.safe_load import load_json, read_bounded
from kbd.inbox.spool import Spool

REASON_LIMIT_BYTES: Final = 8 << 20
LOOKED_INTO: Final = 100
"""So many documents are opened at most to find the ids that they declare."""
_KINDS: Final = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink"}


class NotInQuarantine(InboxError):
    """Nothing of this name lies there."""


class NotReleased(InboxError):
    """It cannot go back into the inbox as it is; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Quarantinee:
    """One thing in quarantine.

    Attributes:
        name: what it is called there.
        kind: file, folder, symlink, other; `missing` where only its reason is left.
        nbytes: of all its files.
        original: what it was called in the inbox.
        owner: from whose sub-folder it came.
        job_id: under which it has a result that says `rejected`.
        code: the kind of reason, `unknown` where no reason can be read.
        message: the reason as text.
        problems: all that was wrong.
        since: when, as the daemon's host wrote it.
    """

    name: str
    kind: str
    nbytes: int
    original: str
    owner: str | None = None
    job_id: str | None = None
    code: str = "unknown"
    message: str = ""
    problems: tuple[Problem, ...] = field(default=())
    since: str | None = None

    @property
    def is_conflict(self) -> bool:
        """Whether another job had its id already; nothing else was wrong with it."""
        return self.code == Refusal.ID_CONFLICT


class QuarantineContents:
    """The quarantine of one spool. Everything raises OSError where the file system fails."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._folder = spool.quarantine

    def all(self) -> list[Quarantinee]:
        """Everything, the oldest first."""
        return sorted(map(self._look, self._names()), key=lambda each: (each.since or "", each.name))

    def meant_for(self, job_ids: frozenset[str]) -> Iterator[tuple[str, Quarantinee]]:
        """Everything that wanted to be one of these jobs, with the id, in no order.

        Where more than LOOKED_INTO lie here, an id in a document that is named otherwise is not looked for.
        """
        names = self._names()
        if len(names) > LOOKED_INTO:
            names = {name for name in names if not job_ids.isdisjoint(_ids_of(name))}
        for found in map(self._look, names):
            job_id = self._intended(found)
            if job_id in job_ids and found.kind != "missing":
                yield job_id, found

    def get(self, name: str) -> Quarantinee:
        """One of them. Raises NotInQuarantine."""
        if "/" in name or name.startswith(".") or name.endswith(REASON_SUFFIX) or not name:
            raise NotInQuarantine(f"{name!r} is no name in quarantine")
        found = self._look(name)
        if found.kind == "missing" and found.code == "unknown":
            raise NotInQuarantine(f"nothing in {self._folder} is called {name}")
        return found

    def path(self, found: Quarantinee) -> Path:
        """Where it lies, to be mended there."""
        return self._folder / found.name

    def paths(self, found: Quarantinee) -> tuple[Path, Path]:
        """What belongs to it, in the order in which it is removed: nothing ever lies here without its reason."""
        return self.path(found), self._reason_path(found.name)

    def release(self, name: str, new_id: str | None = None) -> str:
        """Deliver it to the inbox again, then remove it from here with its reason. Returns the job's id.

        It is checked first. Nothing in the inbox is overwritten; a result that is published stays.

        Args:
            name: what it is called in quarantine.
            new_id: another id than it has; needed where its own has a result.

        Raises:
            NotInQuarantine: there is nothing to release.
            NotReleased: it cannot be a job under this id.
            InvalidJob: it is no job still.
            UndeliverableJob, UnsafeFile, SpoolMissing: as `deliver` says.
        """
        found = self.get(name)
        original = self._require_deliverable(found, new_id)
        path = self.path(found)
        job_id = new_id or read_job(path, name=original).job_id
        self._require_free(found, job_id)
        owner = found.owner if found.owner and is_owner(found.owner) else None
        if new_id is not None:
            read_job(path, name=original)
            job_id = deliver_as(path, self._spool, new_id, owner, name=original)
        elif original.endswith(JOB_FOLDER_SUFFIX):
            job_id = deliver(path, self._spool, original, owner)
        else:  # as bytes, because a path would be followed
            job_id = deliver(read_bounded(path, DOCUMENT_LIMIT_BYTES), self._spool, original, owner)
        self.discard(found)
        return job_id

    def discard(self, found: Quarantinee) -> None:
        """Remove it, with its reason."""
        for path in self.paths(found):
            remove(path)
        fsync_folder(self._folder)

    def _names(self) -> set[str]:
        with os.scandir(self._folder) as entries:
            return {entry.name.removesuffix(REASON_SUFFIX) for entry in entries if entry.name[0] != "."}

    def _intended(self, found: Quarantinee) -> str:
        """The id that it wanted; empty where that is none."""
        return intended_id(self.path(found), limit_bytes=DOCUMENT_LIMIT_BYTES, name=found.original) or ""

    def _look(self, name: str) -> Quarantinee:
        kind, nbytes = _measure(self._folder / name)
        said = self._reason(name)
        return Quarantinee(
            name=name,
            kind=kind,
            nbytes=nbytes,
            original=_text(said.get("name")) or name,
            owner=_text(said.get("owner")),
            job_id=_text(said.get("job_id")),
            code=_text(said.get("code")) or "unknown",
            message=_text(said.get("message")) or "",
            problems=tuple(_problems(said.get("problems"))),
            since=_text(said.get("quarantined_at")),
        )

    def _reason(self, name: str) -> dict[str, Any]:
        """What its reason says; empty where there is none that can be read."""
        try:
            said = load_json(read_bounded(self._reason_path(name), REASON_LIMIT_BYTES))
        except (InboxError, FileNotFoundError):
            return {}
        return said if isinstance(said, dict) else {}

    def _reason_path(self, name: str) -> Path:
        return self._folder / f"{name}{REASON_SUFFIX}"

    def _require_deliverable(self, found: Quarantinee, new_id: str | None) -> str:
        """The name that it can be delivered under. Raises NotReleased."""
        if found.kind == "missing":
            raise NotReleased(f"{found.name} is gone, only its reason is left: remove that")
        if found.code == Refusal.INVALID_REQUEST:
            raise NotReleased(f"{found.name} was a request to the daemon and no job: ask again")
        if new_id is not None and NAME_PATTERN.fullmatch(new_id) is None:
            raise NotReleased(f"{new_id!r} is no id: expected one matching {NAME_PATTERN.pattern}")
        ending = JOB_FOLDER_SUFFIX if found.kind == "folder" else Path(found.original).suffix
        if found.kind not in ("file", "folder") or ending not in (*MANIFEST_SUFFIXES, JOB_FOLDER_SUFFIX):
            raise NotReleased(
                f"{found.name} (a {found.kind}) cannot become a job: expected a file that ends in "
                f"{', '.join(MANIFEST_SUFFIXES)}, or a folder. Write the job anew and submit it"
            )
        if found.original.endswith(ending) and job_name(found.original) is not None:
            return found.original
        if new_id is None:
            raise NotReleased(f"{found.original!r} cannot be the name of a job: give it an id (--id)")
        return f"{new_id}{ending}"

    def _require_free(self, found: Quarantinee, job_id: str) -> None:
        try:
            content = read_published(self._spool, job_id)
        except UnsafeFile:
            content = b""
        if content is not None:
            raise NotReleased(
                f"{job_id} has a result, and an id has one result for good. Release {found.name} under "
                f"another id: --id {job_id}-2"
            )


def _ids_of(name: str) -> set[str]:
    """The ids that something of this name here may have by its name: `a.yaml`, `a.yaml.0123abcd`."""
    return {name, name.rsplit(".", 1)[0], name.rsplit(".", 2)[0]}


def _measure(path: Path) -> tuple[str, int]:
    """The kind of a thing and the bytes of all that is in it, nothing followed."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return "missing", 0
    return _KINDS.get(stat.S_IFMT(status.st_mode), "other"), size_of(path)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all that is in a folder, nothing followed; 0 of what is gone."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return sum(_sizes(path)) if stat.S_ISDIR(status.st_mode) else status.st_size


def _sizes(folder: Path) -> Iterator[int]:
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _problems(value: object) -> Iterator[Problem]:
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("message"), str):
            texts = {key: _text(entry.get(key)) for key in ("expected", "found", "hint")}
            line = entry.get("line")
            yield Problem(
                _text(entry.get("pointer")) or "",
                entry["message"],
                line=line if isinstance(line, int) else None,
                **texts,
            )
