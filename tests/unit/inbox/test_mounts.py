from pathlib import Path

import pytest

from kbd.inbox.mounts import filesystem_of, is_network

MOUNTINFO = """\
22 1 252:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:35 / /data rw - nfs4 server:/export rw,vers=4.2
41 22 0:36 / /data/local rw,relatime master:1 propagate_from:2 - xfs /dev/vdb rw
42 22 0:37 / /with\\040space\\134 rw - fuse.sshfs me@host:/a\\040b rw
43 22 0:38 / /data/local rw - tmpfs tmpfs rw
a line that is none
"""


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTINFO)
    return path


@pytest.mark.parametrize(
    ("path", "fs_type", "source"),
    [
        ("/", "ext4", "/dev/vda1"),
        ("/database", "ext4", "/dev/vda1"),
        ("/data", "nfs4", "server:/export"),
        ("/data/spool/inbox", "nfs4", "server:/export"),
        ("/with space\\/x", "fuse.sshfs", "me@host:/a b"),
    ],
)
def test_the_longest_mount_point_that_holds_it(mountinfo: Path, path: str, fs_type: str, source: str) -> None:
    mount = filesystem_of(Path(path), mountinfo)
    assert (mount.fs_type, mount.source) == (fs_type, source)


def test_a_later_mount_hides_an_earlier_one(mountinfo: Path) -> None:
    assert filesystem_of(Path("/data/local/x"), mountinfo).fs_type == "tmpfs"


def test_symlinks_are_resolved(mountinfo: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/data/spool")
    assert filesystem_of(tmp_path / "link", mountinfo).is_network


def test_a_list_that_does_not_cover_it(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text("")
    with pytest.raises(OSError, match="names no mount"):
        filesystem_of(Path("/"), tmp_path / "mountinfo")


def test_of_this_host() -> None:
    assert filesystem_of(Path("/proc")).fs_type == "proc"


@pytest.mark.parametrize(
    "fs_type", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "lustre", "gpfs", "beegfs", "9p", "ceph"]
)
def test_network_types(fs_type: str) -> None:
    assert is_network(fs_type)


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk"])
def test_local_types(fs_type: str) -> None:
    assert not is_network(fs_type)
