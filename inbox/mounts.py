"""Which file system a path lies on, and whether other hosts can change it behind the kernel's back."""

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")

_NETWORK_TYPE = re.compile(
    r"9p|afs|beegfs|ceph|cifs|fuse(\..*)?|gfs2|glusterfs|gpfs|lustre|nfs4?|ocfs2|orangefs|pvfs2|smb[23]|smbfs"
    r"|virtiofs|wekafs"
)

_OF_ONE_HOST = frozenset({"9p", "virtiofs", "fuse.fuse-overlayfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo: where it is mounted, its type (such as `ext4`, `nfs4`) and what is mounted.

    `options`: of the mount and of the file system, such as `rw`, `hard`, `acdirmax=60`.
    """

    mount_point: Path
    fs_type: str
    source: str
    options: tuple[str, ...] = ()

    @property
    def is_network(self) -> bool:
        """Whether other hosts may write here, so that inotify sees only part of the truth."""
        return is_network(self.fs_type)

    @property
    def is_seen_by_others(self) -> bool:
        """Whether it is of the network for sure: others are mostly the disk of a container, and may be trusted."""
        return self.is_network and self.fs_type not in _OF_ONE_HOST


def filesystem_of(path: Path, mountinfo: Path = MOUNTINFO) -> Mount:
    """The mount that holds `path` (symlinks resolved). `mountinfo` is a file as described in proc(5).

    Raises OSError when the list of mounts cannot be read or does not cover the path.
    """
    real_path = path.resolve()
    found: Mount | None = None
    for line in mountinfo.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
        mount = _parse(line)
        if mount is None or not real_path.is_relative_to(mount.mount_point):
            continue
        # A later mount on the same point hides the earlier one, hence >=.
        if found is None or len(mount.mount_point.parts) >= len(found.mount_point.parts):
            found = mount
    if found is None:
        raise OSError(f"{mountinfo} names no mount that holds {real_path}: expected at least one for /")
    return found


def is_network(fs_type: str) -> bool:
    """Whether a file system type is shared between hosts; FUSE counts, since anything may be behind it."""
    return _NETWORK_TYPE.fullmatch(fs_type) is not None


def _parse(line: str) -> Mount | None:
    """One mountinfo line: ID PARENT MAJ:MIN ROOT POINT OPTIONS [FIELDS...] - TYPE SOURCE SUPER_OPTIONS."""
    before, separator, after = line.partition(" - ")
    fields, tail = before.split(" "), after.split(" ")
    if not separator or len(fields) < 6 or len(tail) < 2:
        return None
    options = [*fields[5].split(","), *(tail[2].split(",") if len(tail) > 2 else [])]
    return Mount(
        Path(_unescape(fields[4])), tail[0], _unescape(tail[1]), tuple(dict.fromkeys(filter(None, options)))
    )


def _unescape(text: str) -> str:
    r"""Undo the kernel's octal escapes of space, tab, newline and backslash (`\040`)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
