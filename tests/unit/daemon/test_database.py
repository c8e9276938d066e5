"""The database is refused on network file systems, and checked after a crash."""

import shutil

import pytest
from structlog.testing import capture_logs

from kbd.daemon.database import open_database, require_local_disk
from kbd.store.errors import StoreCorrupt, StoreError
from kbd.store.location import database_path


def mounted_on(tmp_path, fs_type):
    path = tmp_path / "mountinfo"
    path.write_text(f"22 1 252:1 / / rw - {fs_type} server:/export rw\n")
    return path


@pytest.mark.parametrize("fs_type", ["nfs4", "nfs", "cifs", "smb3", "lustre", "ceph", "fuse.sshfs", "beegfs"])
@pytest.mark.fault("the database lies on a network file system")
def test_a_network_file_system_is_refused_with_the_way_out(tmp_path, fs_type):
    with pytest.raises(
        StoreError, match=rf"network file system \({fs_type} of server:/export at /\).*--state"
    ):
        require_local_disk(tmp_path, mounted_on(tmp_path, fs_type))


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "tmpfs", "overlay", "fuseblk"])
def test_local_disks_are_fine(tmp_path, fs_type):
    require_local_disk(tmp_path, mounted_on(tmp_path, fs_type))


def test_the_disk_of_a_container_is_used_and_told(tmp_path):
    with capture_logs() as logs:
        require_local_disk(tmp_path, mounted_on(tmp_path, "9p"))
    assert [record["action"] for record in logs] == ["odd_disk"]


def damage(path):
    """Overwrite a page in the middle, so that only a check of the whole finds it."""
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 4096)


@pytest.mark.fault("the database is damaged")
def test_after_a_crash_damage_is_found_before_anything_is_done(settings, migrated_database):
    damage(database_path(settings.state))
    with pytest.raises(StoreCorrupt, match="damaged"):
        open_database(settings.state, check=True)


def test_a_whole_database_passes_the_check(settings):
    open_database(settings.state, check=True).dispose()


def test_a_new_one_is_made(tmp_path):
    state = tmp_path / "new"
    state.mkdir()
    open_database(state, check=True).dispose()
    assert database_path(state).exists()
    shutil.rmtree(state)
