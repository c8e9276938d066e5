"""The ladder on this host: the probe, every rung, refusals, older kernels, ordinary users."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kbd.daemon.executor.nursery_client import NurseryFailed
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.sandbox.denials import DENIALS
from kbd.daemon.executor.sandbox.laboratory import laboratory
from kbd.daemon.executor.sandbox.layers import NAMESPACES, Layer, Level, without
from kbd.daemon.executor.sandbox.plan import Sandbox

CPU = DeviceTarget(kind="cpu", threads=1)
LIMIT_S = 60
ROOT = os.geteuid() == 0
NEEDS_ROOT = {"writing to the system", "mounting", "capabilities", "more processes than allowed"}

pytestmark = pytest.mark.xdist_group("isolation")


def test_the_probe_tells_what_is_in_force(ground):
    report = ground.isolation.report()
    assert set(report.layers) == {layer.value for layer in ground.isolation.in_force}
    assert len(report.layers) + len({line.partition(":")[0] for line in report.missing}) >= len(Layer) - 1


def test_what_is_denied_is_possible_without_the_layers(ground):
    """A denial proves something only where the same attempt succeeds without a sandbox."""

    async def observe():
        async with laboratory(ground.nursery, CPU, ground.folder, (str(ground.secret),)) as place:
            bare = await place.observe(Sandbox(layers=frozenset()))
            return bare, await place.observe(ground.sandbox())

    bare, sandboxed = ground.do(observe())
    assert bare.faults == sandboxed.faults == {}
    expected = {denial.name for denial in DENIALS} - (set() if ROOT else NEEDS_ROOT)
    assert set(bare.breaches) >= expected
    held = {denial.name for denial in DENIALS if denial.by & ground.isolation.in_force}
    assert not held & set(sandboxed.breaches)


@pytest.mark.parametrize("dropped", [None, *NAMESPACES, Layer.LANDLOCK, Layer.SECCOMP, Layer.RESOURCE_LIMITS])
def test_a_runner_works_on_every_rung(ground, dropped, tmp_path):
    """Whatever one layer is missing, the others still hold a runner that works and ends as it should."""
    layers = ground.isolation.layers
    rest = layers if dropped is None else without(layers, dropped, root=ROOT)
    if Layer.MOUNT not in rest:
        rest -= {Layer.OWN_UID}  # the state folder is not for other users
    assert ground.tell("tell(1 + 1)", layers=rest) == 2
    assert ground.die("os._exit(3)", layers=rest).status == ExitStatus(3)


def test_a_runner_works_without_any_layer(ground):
    assert ground.tell("tell(1 + 1)", layers=frozenset()) == 2


def test_a_bare_child_still_ends_with_its_group(ground, marker, surviving):
    runner = ground.runner(layers=frozenset())
    runner.run(f"""
    child = subprocess.Popen(['sleep', {marker!r}])
    while {marker!r} not in Path(f'/proc/{{child.pid}}/cmdline').read_text():
        time.sleep(0.001)
    """)
    alive = surviving()
    runner.finish()
    assert alive
    (orphan,) = alive
    assert (
        os.waitpid(orphan, 0)[0] == orphan
    )  # adopted by the sub-reaper, which its killed group leaves to reap


def test_a_refused_layer_is_named_with_its_reason(ground):
    ground.need(Layer.PID)
    layers = ground.isolation.layers | {Layer.CGROUP}
    sandbox = ground.sandbox(layers=layers, cgroups=("/proc/nowhere",))
    with pytest.raises(NurseryFailed, match="nowhere") as caught:
        ground.do(ground.nursery.fork("runner", ground.new_folder(), CPU, sandbox))
    assert caught.value.refused.layer is Layer.CGROUP


def test_a_layer_refused_inside_is_reported_by_the_process(ground):
    ground.need(Layer.PID)
    sandbox = ground.sandbox(layers=frozenset({Layer.SECCOMP}))
    process, sock = ground.do(ground.nursery.fork("runner", ground.new_folder(), CPU, sandbox))
    sock.close()
    ground.do(process.wait())
    ground.do(process.kill())
    if ROOT:
        assert process.refused is None  # root may have a filter without giving up its rights first
    else:
        assert process.refused.layer is Layer.SECCOMP


OLD_KERNEL = """
import errno, os, sys
from pathlib import Path
from kbd.daemon.executor.sandbox import mounts
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.namespaces import Surroundings, enter
from kbd.daemon.executor.sandbox.plan import Sandbox
from kbd.daemon.executor.sandbox.visible_tree import VisibleTree

real = mounts.system_call
def without_mount_setattr(name, *arguments):
    if name == "mount_setattr":
        raise OSError(errno.ENOSYS, name)
    return real(name, *arguments)
mounts.system_call = without_mount_setattr

layers = {Layer(name) for name in sys.argv[2].split(",")} - {Layer.PID}
surroundings = Surroundings(os.getuid(), os.getgid(), VisibleTree.of_this_interpreter(), sys.argv[1])
enter(Sandbox(layers=layers), surroundings)
for folder in ("/", "/usr", sys.prefix, "/sys"):
    try:
        Path(folder, "planted").touch()
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print("possible")
"""


def test_mounts_are_read_only_before_linux_5_12_as_well(ground, tmp_path):
    ground.need(Layer.MOUNT)
    layers = ",".join(ground.isolation.layers & {Layer.MOUNT, Layer.USER_NAMESPACE})
    command = [sys.executable, "-c", OLD_KERNEL, str(tmp_path), layers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"EROFS", "EACCES", "EPERM"}
    assert len(done.stdout.split()) == 4


ORDINARY = """
import asyncio, json, sys
from pathlib import Path
from kbd.daemon.executor import kernel_calls
from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.sandbox.isolation import IsolationSettings
from kbd.daemon.executor.sandbox.probe import probe

async def main(folder):
    kernel_calls.adopt_orphans()
    nursery = NurseryClient(folder / "nursery.log")
    await nursery.start()
    found = await probe(nursery, DeviceTarget(kind="cpu"), folder, IsolationSettings())
    await nursery.stop()
    print("TOLD " + json.dumps([found.level, list(found.missing), found.report().user]))

asyncio.run(main(Path(sys.argv[1])))
"""


NOBODY = {"user": 65534, "group": 65534, "extra_groups": ()}


def interpreter_for_everybody():
    """A Python of this version that any user may start, with the packages of this one; else a reason."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        try:
            subprocess.run([path, "-c", ""], capture_output=True, check=True, **NOBODY)
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    pytest.skip(f"user nobody may not start any {name} of this host")
    return None


@pytest.fixture
def nobodys_folder(tmp_path_factory):
    """Outside of the tests' own folders, which are for their user alone."""
    folder = Path(tempfile.mkdtemp(prefix="kbd-nobody-"))
    os.chown(folder, NOBODY["user"], NOBODY["group"])
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not ROOT, reason="every test here is an ordinary user's already")
def test_the_ladder_works_for_an_ordinary_user(nobodys_folder):
    places = [str(Path(__file__).parents[2] / ".typing"), *filter(os.path.isdir, sys.path)]
    done = subprocess.run(
        [interpreter_for_everybody(), "-c", ORDINARY, str(nobodys_folder)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(places), "HOME": "/"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        cwd="/",
        **NOBODY,
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    assert told, done.stdout + done.stderr
    level, missing, user = json.loads(told[0][5:])
    if any(line.startswith("user namespace") for line in missing):
        pytest.skip(f"this host forbids user namespaces: {missing}")
    assert Level(level).rank >= Level.NAMESPACES.rank, missing
    assert user == "uid 1000 in a user namespace"
