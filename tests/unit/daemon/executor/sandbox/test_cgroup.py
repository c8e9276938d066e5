"""Groups in folders that look like both versions of the file system."""

import os

import pytest

from kbd.daemon.executor.sandbox import cgroup
from kbd.daemon.executor.sandbox.cgroup import Cgroup, CgroupHome
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import Bounds, Sandbox
from kbd.daemon.executor.sandbox.refusal import LayerRefused

MIB = 1 << 20


def sandbox_in(*folders, **bounds):
    return Sandbox(layers={Layer.CGROUP}, cgroups=tuple(map(str, folders)), bounds=Bounds(**bounds))


@pytest.fixture
def files_appear(monkeypatch):
    """New groups have the files that the Linux kernel would put there."""

    def arrange(*names):
        real = cgroup.Path.mkdir

        def mkdir(self, *arguments, **more):
            real(self, *arguments, **more)
            for name in names:
                (self / name).write_text("")

        monkeypatch.setattr(cgroup.Path, "mkdir", mkdir)

    return arrange


def test_without_the_layer_there_is_no_group(tmp_path):
    sandbox = Sandbox(layers=frozenset(), cgroups=(str(tmp_path / "new"),))
    assert Cgroup.make(sandbox) == Cgroup.make(None) == cgroup.NO_CGROUP
    assert not (tmp_path / "new").exists()


def test_bounds_of_version_2(tmp_path, files_appear):
    files_appear("pids.max", "memory.max", "memory.swap.max", "memory.oom.group")
    Cgroup.make(sandbox_in(tmp_path / "new", memory_bytes=MIB, processes=9))
    written = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert written == {
        "pids.max": "9",
        "memory.max": str(MIB),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
    }


def test_bounds_of_version_1(tmp_path, files_appear):
    files_appear("memory.limit_in_bytes")
    Cgroup.make(sandbox_in(tmp_path / "new", memory_bytes=MIB))
    assert (tmp_path / "new" / "memory.limit_in_bytes").read_text() == str(MIB)


def test_without_a_bound_on_memory_none_is_set(tmp_path, files_appear):
    files_appear("memory.max")
    Cgroup.make(sandbox_in(tmp_path / "new"))
    assert (tmp_path / "new" / "memory.max").read_text() == ""


def test_a_group_that_cannot_be_made_is_a_refusal_and_leaves_no_other(tmp_path):
    with pytest.raises(LayerRefused, match="missing"):
        Cgroup.make(sandbox_in(tmp_path / "first", tmp_path / "missing" / "second"))
    assert not (tmp_path / "first").exists()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("memory.events", "low 0\noom 1\noom_kill 1\n", True),
        ("memory.events", "low 0\noom_kill 0\n", False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", True),
        ("unrelated", "oom_kill 1\n", False),
    ],
)
def test_running_out_of_memory_is_seen(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert Cgroup((tmp_path,)).ran_out_of_memory() is expected


def test_a_group_is_killed_at_once_where_that_exists(tmp_path):
    (tmp_path / "cgroup.kill").write_text("")
    Cgroup((tmp_path,)).kill()
    assert (tmp_path / "cgroup.kill").read_text() == "1"


def test_a_group_is_killed_one_by_one_where_it_does_not(tmp_path):
    child = os.fork()
    if child == 0:
        os.read(os.pipe()[0], 1)
    (tmp_path / "cgroup.procs").write_text(f"{child}\n")
    Cgroup((tmp_path,)).kill()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9


def test_removing_what_is_gone_is_no_error(tmp_path):
    Cgroup((tmp_path / "gone",)).remove()


def test_every_number_has_a_name_of_its_own_in_each_hierarchy(tmp_path):
    home = CgroupHome((tmp_path / "a", tmp_path / "b"))
    first, second = home.group(1), home.group(2)
    assert len(first) == 2
    assert not set(first) & set(second)


def test_groups_of_dead_daemons_are_removed(tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    left, used, other = (tmp_path / name for name in (f"kbd-{child}-1", f"kbd-{os.getpid()}-1", "user.slice"))
    for folder in (left, used, other):
        folder.mkdir()
    CgroupHome((tmp_path,)).tidy()
    assert not left.exists()
    assert used.exists()
    assert other.exists()


OWN = "4:memory:/user/one\n8:pids:/\n1:name=systemd:/\n0::/user.slice/session\n"
MOUNTS = """\
36 31 0:33 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:37 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
"""


def test_places_of_version_1():
    own, mounts = dict(cgroup._own_groups(OWN)), list(cgroup._mounts(MOUNTS))
    found = [(str(path), controller) for path, controller in cgroup._homes(own, mounts)]
    assert found == [("/sys/fs/cgroup/memory/user/one", "memory"), ("/sys/fs/cgroup/pids", "pids")]


@pytest.mark.parametrize(
    ("controllers", "expected"),
    [("cpu memory pids\n", ["memory", "pids"]), ("pids\n", ["pids"]), ("hugetlb\n", [])],
)
def test_places_of_version_2(tmp_path, controllers, expected):
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "cgroup.controllers").write_text(controllers)
    table = f"41 31 0:38 /user.slice {tmp_path} rw,relatime - cgroup2 cgroup2 rw\n"
    own, mounts = dict(cgroup._own_groups(OWN)), list(cgroup._mounts(table))
    assert list(cgroup._homes(own, mounts)) == [(tmp_path / "session", name) for name in expected]


def test_a_daemon_that_stands_aside_has_its_home_in_the_group_above(tmp_path):
    aside = tmp_path / "session" / "daemon"
    aside.mkdir(parents=True)
    (tmp_path / "session" / "cgroup.controllers").write_text("memory pids")
    (tmp_path / "session" / "cgroup.subtree_control").write_text("")
    own = dict(cgroup._own_groups("0::/user.slice/session/daemon\n"))
    table = f"41 31 0:38 /user.slice {tmp_path} rw,relatime - cgroup2 cgroup2 rw\n"
    homes = list(cgroup._homes(own, list(cgroup._mounts(table))))
    assert homes == [(tmp_path / "session", "memory"), (tmp_path / "session", "pids")]


@pytest.fixture
def group(tmp_path):
    """Looks like a group of version 2 that offers bounds and holds nothing."""
    for name, text in {"controllers": "cpu memory pids", "subtree_control": "", "procs": ""}.items():
        (tmp_path / f"cgroup.{name}").write_text(text)
    return tmp_path


def test_bounds_are_delegated(group):
    cgroup._delegate(group)
    assert (group / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert not (group / "daemon").exists()


def test_a_daemon_that_is_alone_in_its_group_steps_aside(group, files_appear):
    files_appear("cgroup.procs")
    (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
    cgroup._delegate(group)
    assert (group / "daemon" / "cgroup.procs").read_text() == str(os.getpid())
    assert (group / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_nobody_else_is_moved(group):
    (group / "cgroup.procs").write_text(f"{os.getpid()}\n{os.getppid()}\n")
    cgroup._delegate(group)
    assert not (group / "daemon").exists()


def test_what_cannot_be_delegated_is_refused_with_advice(group):
    (group / "cgroup.subtree_control").unlink()
    (group / "cgroup.subtree_control").mkdir()
    with pytest.raises(LayerRefused, match="Delegate=yes"):
        cgroup._delegate(group)


def test_who_may_not_write_is_told_what_would_help(group):
    assert "Delegate=yes" in cgroup._advice(group)
    (group / "cgroup.controllers").unlink()
    assert "version 1" in cgroup._advice(group)
