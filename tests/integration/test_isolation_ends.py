"""How runners end: always, whole, told as it was, and with nothing left."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import Bounds

LIMIT_S = 60

pytestmark = pytest.mark.xdist_group("isolation")

SURVIVOR = """
def survive(marker):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.execvp('sleep', ['sleep', marker])
        os._exit(0)
    # Until the kernel shows it under its new name: then it is on its own.
    while not any(path.read_text() == f'sleep\\0{marker}\\0' for path in Path('/proc').glob('[0-9]*/cmdline')):
        time.sleep(0.001)
"""


def test_a_daemonised_child_dies_with_the_kill(ground, marker, surviving):
    ground.need(Layer.PID)
    runner = ground.runner()
    runner.run(SURVIVOR + f"survive({marker!r})")
    alive = surviving()
    runner.finish()
    assert alive
    assert surviving() == []


def test_a_daemonised_child_dies_when_the_runner_ends_by_itself(ground, marker, surviving):
    ground.need(Layer.PID)
    attack = ground.die(SURVIVOR + f"survive({marker!r})\nos._exit(0)")
    assert attack.status == ExitStatus(0)
    assert surviving() == []


def test_a_build_whose_jobs_have_groups_of_their_own_dies_whole(ground, marker, surviving):
    """As ninja starts them: a group for each command, which a kill of the runner's own group does not reach."""
    ground.need(Layer.PID)
    runner = ground.runner()
    runner.run(f"""
    builds = [subprocess.Popen(['sh', '-c', 'sleep {marker} & wait'], process_group=0) for _ in range(4)]
    sleeping = lambda: sum(
        {marker!r}.encode() in path.read_bytes().split(b'\\0')
        for path in Path('/proc').glob('[0-9]*/cmdline')
    )
    while sleeping() < 4:
        time.sleep(0.001)
    """)
    alive = surviving()
    runner.finish()
    assert len(alive) == 4
    assert surviving() == []


def test_a_child_that_holds_the_output_does_not_keep_it_open(ground, marker, surviving):
    ground.need(Layer.PID)
    attack = ground.die(SURVIVOR + f"survive({marker!r})\nprint('last words', flush=True)\nos._exit(0)")
    assert attack.output.endswith("last words\n")


def test_a_host_loop_that_ignores_every_signal_is_killed(ground):
    code = """
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            pass
    tell('looping')
    while True:
        pass
    """
    runner = ground.runner()
    runner.start(code)
    poll = select.poll()
    poll.register(runner.process.output._descriptor, select.POLLIN)
    assert poll.poll(LIMIT_S * 1000)
    runner.finish()
    attack = runner.attack()
    assert attack.told == "looping"
    assert attack.status == ExitStatus(None, signal.SIGKILL)


def test_a_fork_bomb_is_killed_whole(ground, marker, surviving):
    ground.need(Layer.PID, Layer.PROCESS_COUNT)
    code = f"""
    for _ in range(20):
        subprocess.Popen(['sleep', {marker!r}], start_new_session=True)
    def asleep():
        return [path for path in Path('/proc').glob('[0-9]*/cmdline') if {marker!r} in path.read_text()]
    while len(asleep()) < 20:
        time.sleep(0.001)
    """
    runner = ground.runner(bounds=Bounds(processes=64))
    runner.run(code)
    alive = surviving()
    runner.finish()
    assert len(alive) == 20
    assert surviving() == []


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("os._exit(7)", ExitStatus(7)),
        ("os._exit(0)", ExitStatus(0)),
        ("ctypes.string_at(0)", ExitStatus(None, signal.SIGSEGV)),
        ("os.abort()", ExitStatus(None, signal.SIGABRT)),
        ("os.kill(os.getpid(), signal.SIGKILL)", ExitStatus(None, signal.SIGKILL)),
    ],
)
def test_the_runners_own_end_is_reported(ground, code, status):
    assert ground.die(code).status == status


def test_orphans_inside_are_reaped(ground):
    ground.need(Layer.PID)
    code = """
    for _ in range(5):
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.wait()
    def others():
        return [path for path in Path('/proc').glob('[0-9]*') if path.name not in ('1', str(os.getpid()))]
    while others():
        time.sleep(0.001)
    tell('reaped')
    """
    assert ground.tell(code) == "reaped"


DAEMON = """
import asyncio, sys
from pathlib import Path
from kbd.daemon.executor import kernel_calls
from kbd.daemon.executor.channel import Channel
from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.runner_protocol import FromNewRunner
from kbd.daemon.executor.sandbox.plan import Sandbox

async def main(folder, sandbox):
    kernel_calls.adopt_orphans()
    nursery = NurseryClient(folder / "nursery.log")
    (folder / "runner").mkdir()
    device = DeviceTarget(kind="cpu")
    process, sock = await nursery.fork("runner", folder / "runner", device, sandbox)
    Channel(sock, FromNewRunner).receive()
    print("PID", process.pid, flush=True)
    sys.stdin.read()

asyncio.run(main(Path(sys.argv[1]), Sandbox.model_validate_json(sys.argv[2])))
"""


def test_the_whole_namespace_dies_with_the_daemon(ground, tmp_path):
    ground.need(Layer.PID)
    sandbox = ground.sandbox(layers=ground.isolation.layers - {Layer.CGROUP})
    command = [sys.executable, "-c", DAEMON, str(tmp_path), sandbox.model_dump_json()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        told = next(line for line in daemon.stdout if line.startswith(b"PID "))
        init = os.pidfd_open(int(told.split()[1]))
        daemon.kill()
    # It was the dead daemon's child; now it is ours or the system's, and its end shows on the descriptor.
    assert select.select([init], [], [], LIMIT_S)[0]
    os.close(init)


def test_nothing_is_left_of_any_of_it(ground):
    before = set(os.listdir("/dev/shm"))
    for code in ("Path('/dev/shm/left').touch()", "Path('/tmp/left').touch()", "Path('left').touch()"):
        ground.tell(code + "; tell(1)")
    if Layer.MOUNT in ground.isolation.in_force:
        assert set(os.listdir("/dev/shm")) <= before
        assert not any(path.name == "left" for path in ground.work.glob("*/*"))
    if ground.isolation.cgroups is not None:
        for folder in ground.isolation.cgroups.folders:
            assert list(folder.glob(f"kbd-{os.getpid()}-*")) == []
    table = Path("/proc/self/mountinfo").read_text()
    assert str(ground.folder) not in table
