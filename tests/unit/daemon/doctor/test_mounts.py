"""Mount options that lose or delay jobs. No file server is at hand, so the list of mounts is the test's own."""

import pytest

from kbd.daemon.doctor.check import State
from kbd.daemon.doctor.mounts import database_mount, spool_mount

GOOD = "rw,vers=4.2,hard,proto=tcp,acdirmin=1,acdirmax=3,lookupcache=pos,local_lock=none,addr=10.0.0.1"


@pytest.mark.parametrize(
    ("options", "state", "finding", "cure"),
    [
        (GOOD.replace("hard", "soft"), State.FAIL, "mounted soft", "add hard "),
        (GOOD.replace("hard", "softerr"), State.FAIL, "mounted softerr", "add hard "),
        (GOOD.replace("local_lock=none", "local_lock=all"), State.WARN, "local_lock=all", "local_lock=none"),
        (f"{GOOD},nolock", State.WARN, "nolock", "lock,"),
        (GOOD.replace("acdirmax=3", "acdirmax=600"), State.WARN, "for up to 600 s", "acdirmax=3"),
        (GOOD.replace(",acdirmax=3", ""), State.WARN, "for up to 60 s", "acdirmax=3"),
        (GOOD.replace(",lookupcache=pos", ""), State.WARN, "lookupcache=all", "lookupcache=positive"),
    ],
)
@pytest.mark.parametrize("fs_type", ["nfs", "nfs4"])
def test_each_bad_option_of_nfs_is_named_with_its_cure(
    patient, mountinfo, fs_type, options, state, finding, cure
):
    (check,) = spool_mount(patient, mountinfo("spool", fs_type, options))
    assert (check.state, check.name) == (state, "spool mount")
    assert finding in check.finding
    assert cure in check.cure
    assert str(patient.settings.spool) in check.cure


def test_all_at_once(patient, mountinfo):
    checks = list(spool_mount(patient, mountinfo("spool", "nfs4", "rw,soft,nolock")))
    assert [check.state for check in checks] == [State.FAIL, State.WARN, State.WARN, State.WARN]


@pytest.mark.parametrize(
    ("fs_type", "options"),
    [("nfs4", GOOD), ("nfs4", "rw,hard,noac"), ("ext4", "rw"), ("cifs", "rw,soft,cache=strict")],
)
def test_good_mounts(patient, mountinfo, fs_type, options):
    (check,) = spool_mount(patient, mountinfo("spool", fs_type, options))
    assert check.state is State.OK


def test_loose_caches_of_smb(patient, mountinfo):
    (check,) = spool_mount(patient, mountinfo("spool", "cifs", "rw,cache=loose"))
    assert (check.state, "cache=strict" in check.cure) == (State.WARN, True)


def test_a_read_only_mount(patient, in_namespaces):
    spool = patient.settings.spool
    said = in_namespaces(
        f"mount --bind {spool} {spool}; mount -o remount,bind,ro {spool}",
        "from pathlib import Path\n"
        "from kbd.daemon.cli.place import Place\n"
        "from kbd.daemon.config import Settings\n"
        "from kbd.daemon.doctor.check import Patient\n"
        "from kbd.daemon.doctor.mounts import spool_mount\n"
        f"spool = Path({str(spool)!r})\n"
        "for check in spool_mount(Patient(Place(spool, spool, True), Settings(spool, spool))):\n"
        "    print(check.state, check.finding, check.cure)\n",
    )
    assert said.startswith(f"fail {spool} is mounted read-only mount -o remount,rw")


@pytest.mark.parametrize("fs_type", ["nfs4", "cifs", "fuse.sshfs", "lustre"])
def test_a_database_on_the_network(patient, mountinfo, fs_type):
    (check,) = database_mount(patient, mountinfo("state", fs_type, "rw"))
    assert (check.state, fs_type in check.finding, "local disk" in check.cure) == (State.FAIL, True, True)


@pytest.mark.parametrize("fs_type", ["9p", "virtiofs", "fuse.fuse-overlayfs"])
def test_a_database_on_what_is_mostly_the_disk_of_a_container(patient, mountinfo, fs_type):
    (check,) = database_mount(patient, mountinfo("state", fs_type, "rw"))
    assert check.state is State.WARN, "the daemon starts there"
    assert fs_type in check.finding


def test_a_database_on_a_local_disk(patient, mountinfo):
    (check,) = database_mount(patient, mountinfo("spool", "nfs4", "rw"))
    assert check.state is State.OK


def test_a_state_folder_that_is_not_there_yet(patient, mountinfo):
    path = mountinfo("state", "nfs4", "rw")
    patient.settings.state.rmdir()
    path.write_text(path.read_text().replace(str(patient.settings.state), str(patient.settings.state.parent)))
    (check,) = database_mount(patient, path)
    assert check.state is State.FAIL
