"""Attacks from inside a real sandbox: each is denied, and nothing of any of them is left afterwards.

What the host's kernel does not give is skipped, with the reason that the probe found.
"""

import asyncio
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from kbd.daemon.executor import kernel_calls
from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.nursery_client import NurseryClient, NurseryFailed
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.protocol import DeviceTarget, FromNewRunner, FromRunner, Load, Loaded
from kbd.daemon.executor.sandbox.isolation import IsolationSettings
from kbd.daemon.executor.sandbox.layers import NAMESPACES, Layer, Level, without
from kbd.daemon.executor.sandbox.plan import FOLDER, Bounds
from kbd.daemon.executor.sandbox.probe import probe
from kbd.inbox.manifest import KernelCode

CPU = DeviceTarget(kind="cpu", threads=1)
LIMIT_S = 60
MIB = 1 << 20
ROOT = os.geteuid() == 0

pytestmark = pytest.mark.xdist_group("isolation")

PRELUDE = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, time
from pathlib import Path

def tell(value):
    print("TOLD " + json.dumps(value), flush=True)

def denied(attempt, *arguments):
    try:
        attempt(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "possible"

def entry(x):
    return x
"""


@dataclass
class Attack:
    """What came of some code in a sandbox: what it told, how its process ended, what it printed."""

    told: object
    status: ExitStatus
    output: str


class Runner:
    """A sandboxed runner on which code can be run, as a kernel that is being loaded."""

    def __init__(self, ground, sandbox):
        self.ground = ground
        self.folder = ground.new_folder()
        self.process, sock = ground.do(ground.nursery.fork("runner", self.folder, CPU, sandbox))
        self.channel = Channel(sock, FromRunner)
        assert Channel(sock, FromNewRunner).receive(LIMIT_S) is not None

    def start(self, code):
        source = PRELUDE + textwrap.dedent(code)
        kernel = KernelCode(kernel_type="torch", source_code=source, metadata={"function_name": "entry"})
        self.channel.send(Load(role="candidate", kernel=kernel, contract=None, init_seed=0))

    def run(self, code):
        """Have it run to its end, and leave the runner alive."""
        self.start(code)
        return self.channel.receive(LIMIT_S)

    def finish(self):
        self.channel.close()
        self.ground.do(self.process.kill())

    def attack(self):
        """After the end: everything that is known."""
        status = self.ground.do(self.process.wait())
        self.process.output.close()
        text = self.process.output.text()
        told = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("TOLD ")]
        return Attack(told[-1] if told else None, status, text)


class Ground:
    """A nursery, what the probe found, and an event loop for both."""

    def __init__(self, folder):
        self.folder = folder
        self.secret = folder / "state"
        self.secret.mkdir(mode=0o700)
        (self.secret / "kbd.db").write_text("everybody's results")
        self.work = self.secret / "work"
        self.work.mkdir(mode=0o700)
        self._loop = asyncio.Runner()
        self.nursery = NurseryClient(folder / "nursery.log")
        self.do(self.nursery.start())
        self.settings = IsolationSettings(hidden=(str(self.secret),))
        self.isolation = self.do(probe(self.nursery, CPU, self.work, self.settings))
        self._sandboxes = self.isolation.sandboxes()
        self._count = 0

    def do(self, coroutine):
        return self._loop.run(coroutine)

    def new_folder(self):
        self._count += 1
        folder = self.work / f"runner-{self._count}"
        folder.mkdir(mode=0o700)
        return folder

    def need(self, *layers):
        reasons = dict(self.isolation.absent) | dict(self.isolation.ineffective)
        for layer in layers:
            if layer not in self.isolation.in_force:
                pytest.skip(f"no {layer} here: {reasons.get(layer, 'not tried by this user')}")

    def sandbox(self, *, bounds=None, layers=None):
        sandbox = next(self._sandboxes)
        changes = {"bounds": bounds or sandbox.bounds, "layers": sandbox.layers if layers is None else layers}
        return sandbox.model_copy(update=changes)

    def runner(self, **changes):
        return Runner(self, self.sandbox(**changes))

    def tell(self, code, **changes):
        """What the code tells from inside a sandbox; it must run to its end."""
        runner = self.runner(**changes)
        answer = runner.run(code)
        runner.finish()
        attack = runner.attack()
        assert isinstance(answer, Loaded), (answer, attack.output)
        return attack.told

    def die(self, code, **changes):
        """The end of a runner whose code ends it."""
        runner = self.runner(**changes)
        with pytest.raises(PeerGone):
            runner.run(code)
        runner.channel.close()
        return runner.attack()

    def end(self):
        self.do(self.nursery.stop())
        self._loop.close()


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    kernel_calls.adopt_orphans()
    ground = Ground(tmp_path_factory.mktemp("ground"))
    yield ground
    ground.end()
    kernel_calls._prctl(kernel_calls.PR_SET_CHILD_SUBREAPER, 0)


# --- out of sight -----------------------------------------------------------------------------------


def test_other_processes_cannot_be_seen(ground):
    ground.need(Layer.PID)
    code = "tell([sorted(int(name) for name in os.listdir('/proc') if name.isdigit()), os.getpid(), os.getppid()])"
    seen, own, parent = ground.tell(code)
    assert seen == [1, own]
    assert parent == 1


def test_the_environment_of_the_daemon_cannot_be_read(ground):
    ground.need(Layer.PID)
    pids = [os.getpid(), ground.nursery.pid, 1]
    told = ground.tell(f"tell([denied(Path(f'/proc/{{pid}}/environ').read_bytes) for pid in {pids}])")
    assert "possible" not in told


def test_only_what_is_needed_is_in_the_root(ground):
    ground.need(Layer.MOUNT)
    # Nothing below a folder that only leads to Python or to kbd itself.
    names = set(ground.tell("tell(os.listdir('/'))"))
    assert {"usr", "etc", "proc", "sys", "dev", "tmp", FOLDER.strip("/")} <= names
    assert names.isdisjoint({"boot", "mnt", "media", "run", "var", "srv", ".host"})


def test_the_state_folder_is_not_there(ground):
    ground.need(Layer.MOUNT)
    paths = [str(ground.secret), str(ground.secret / "kbd.db")]
    assert ground.tell(f"tell([os.path.exists(path) for path in {paths}])") == [False, False]


def test_a_state_folder_inside_a_visible_one_is_covered(ground):
    ground.need(Layer.MOUNT)
    inside = Path(sys.prefix, "lib")
    sandbox = ground.sandbox().model_copy(update={"hidden": (str(inside),)})
    runner = Runner(ground, sandbox)
    runner.run(f"tell(os.listdir({str(inside)!r}))")
    runner.finish()
    assert runner.attack().told == []


def test_another_runners_folder_is_not_there(ground):
    ground.need(Layer.MOUNT)
    other = ground.new_folder()
    (other / "answer").write_text("42")
    assert ground.tell(f"tell(denied(os.listdir, {str(other)!r}))") == "ENOENT"


def test_the_hosts_temporary_files_are_not_there(ground):
    ground.need(Layer.MOUNT)
    assert str(ground.folder) not in ground.tell("tell([str(path) for path in Path('/tmp').glob('**/*')])")


def test_names_of_users_are_not_the_hosts(ground):
    ground.need(Layer.MOUNT)
    names = ground.tell("import pwd; tell([entry.pw_name for entry in pwd.getpwall()])")
    assert names == ["kernel"]
    assert ground.tell("import pwd; tell(pwd.getpwuid(os.getuid()).pw_dir)") == FOLDER


def test_the_host_name_is_not_the_hosts(ground):
    ground.need(Layer.UTS)
    assert ground.tell("tell(socket.gethostname())") == "kernel"


def test_there_are_no_devices_but_the_harmless(ground):
    ground.need(Layer.MOUNT)
    links = {"fd", "stdin", "stdout", "stderr"}
    expected = {"null", "zero", "full", "random", "urandom", "shm"} | links
    assert set(ground.tell("tell(os.listdir('/dev'))")) == expected


def test_cgroups_cannot_be_seen(ground):
    ground.need(Layer.MOUNT)
    assert ground.tell("tell(denied(lambda: None) and os.listdir('/sys/fs/cgroup'))") == []


# --- out of reach -----------------------------------------------------------------------------------


def test_no_tcp_connection_to_the_host(ground):
    ground.need(Layer.NETWORK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = ground.tell(f"tell(denied(lambda: socket.create_connection(('127.0.0.1', {port}), 5)))")
    assert told in ("EACCES", "ENETUNREACH", "ECONNREFUSED")


def test_no_network_but_an_idle_loopback(ground):
    ground.need(Layer.NETWORK)
    lines = ground.tell("tell(Path('/proc/net/dev').read_text().splitlines()[2:])")
    assert [line.split(":")[0].strip() for line in lines] == ["lo"]
    code = "tell(denied(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, b'x', ('192.0.2.1', 53)))"
    assert ground.tell(code) == "ENETUNREACH"


def test_no_abstract_socket_of_the_host(ground):
    ground.need(Layer.NETWORK)
    name = f"kbd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        told = ground.tell(f"tell(denied(socket.socket(socket.AF_UNIX).connect, chr(0) + {name!r}))")
    assert told in ("ECONNREFUSED", "EPERM")


@pytest.mark.parametrize("family", ["AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"])
def test_sockets_into_the_kernel_are_refused(ground, family):
    ground.need(Layer.SECCOMP)
    code = f"tell(denied(socket.socket, socket.{family}, socket.SOCK_RAW if {family!r} != 'AF_ALG' else 5))"
    assert ground.tell(code) == "EPERM"


def test_tcp_is_denied_by_landlock_alone(ground):
    ground.need(Layer.LANDLOCK)
    if ground.isolation.landlock_abi < 4:
        pytest.skip(f"Landlock {ground.isolation.landlock_abi} does not know TCP, version 4 does")
    told = ground.tell("tell(denied(socket.socket().bind, ('127.0.0.1', 0)))")
    assert told == "EACCES"


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGINT", "SIGSTOP"])
def test_pid_1_cannot_be_harmed(ground, number):
    ground.need(Layer.PID)
    code = f"""
    outcome = denied(os.kill, 1, signal.{number})
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    tell([outcome, Path('/proc/1/stat').read_text().split()[2]])
    """
    outcome, state = ground.tell(code)
    assert outcome in ("EPERM", "possible")  # the kernel drops what PID 1 has no handler for
    assert state in "SR"


def test_the_memory_of_pid_1_cannot_be_read(ground):
    ground.need(Layer.PID)
    told = ground.tell("tell([denied(open, f'/proc/1/{name}', 'rb') for name in ('mem', 'environ')])")
    assert told == ["EACCES", "EACCES"]


def test_nobody_can_be_traced(ground):
    ground.need(Layer.SECCOMP)
    code = """
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        signal.pause()
    results = []
    for pid in (1, child):
        results.append([libc.ptrace(16, pid, None, None), ctypes.get_errno()])
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    tell(results)
    """
    assert ground.tell(code) == [[-1, 1], [-1, 1]]


@pytest.mark.parametrize(
    "folder", ["/", "/usr", "/etc", "/usr/bin", sys.prefix, sys.base_prefix, "/sys", "/proc/sys"]
)
def test_the_system_cannot_be_written(ground, folder):
    ground.need(Layer.MOUNT)
    told = ground.tell(f"tell(denied(Path({folder!r}, 'planted').write_text, 'x'))")
    assert told in ("EROFS", "EACCES", "ENOENT", "EPERM")


def test_kbd_itself_cannot_be_changed(ground):
    ground.need(Layer.MOUNT)
    code = "import kbd.daemon.runner.main as main; tell(denied(open, main.__file__, 'a'))"
    assert ground.tell(code) in ("EROFS", "EACCES")


def test_nothing_can_be_mounted(ground):
    ground.need(Layer.SECCOMP)
    code = """
    libc = ctypes.CDLL(None, use_errno=True)
    tell([libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), ctypes.get_errno()])
    """
    assert ground.tell(code) == [-1, 1]


def test_no_namespaces_can_be_made_or_entered(ground):
    ground.need(Layer.SECCOMP)
    code = """
    libc = ctypes.CDLL(None, use_errno=True)
    def errno_of(call, *arguments):
        ctypes.set_errno(0)
        call(*arguments)
        return ctypes.get_errno()
    clone = 56 if os.uname().machine == 'x86_64' else 220
    tell([
        errno_of(libc.unshare, 0x10000000),
        errno_of(libc.setns, 3, 0),
        errno_of(libc.syscall, clone, 0x10000000 | 17, 0, 0, 0, 0),
        errno_of(libc.syscall, 435, None, 0),
    ])
    """
    assert ground.tell(code) == [1, 1, 1, 38]


def test_processes_and_threads_can_still_be_made(ground):
    code = """
    import threading
    thread = threading.Thread(target=tell, args=('thread',))
    thread.start(); thread.join()
    tell(subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout)
    """
    assert ground.tell(code) == "42\n"


def test_dangerous_system_calls_are_refused(ground):
    ground.need(Layer.SECCOMP)
    names = ["bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "kexec_load", "init_module"]
    code = f"""
    from kbd.daemon.executor.kernel_calls import system_call
    tell([denied(system_call, name, 0, 0, 0, 0, 0) for name in {names}])
    """
    assert ground.tell(code) == ["EPERM"] * len(names)


def test_there_are_no_rights_left(ground):
    ground.need(Layer.CAPABILITIES, Layer.NO_NEW_PRIVILEGES, Layer.SECCOMP)
    status = ground.tell("tell(dict(line.split(':', 1) for line in open('/proc/self/status')))")
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert status["Groups"].strip() in ("", "65534")  # what the user namespace does not know


def test_every_runner_has_another_uid(ground):
    ground.need(Layer.OWN_UID)
    first, second = (ground.tell("tell([os.getresuid(), os.getresgid()])") for _ in range(2))
    assert first != second
    assert all(61_000 <= number < 62_000 for ids in (*first, *second) for number in ids)


def test_the_runner_holds_its_channel_and_nothing_else(ground):
    code = """
    held = {}
    for name in os.listdir('/proc/self/fd'):
        try:
            held[int(name)] = os.readlink(f'/proc/self/fd/{name}').split(':')[0]
        except FileNotFoundError:
            pass
    tell(sorted(held.items()))
    """
    held = dict(map(tuple, ground.tell(code)))
    assert {name: held[name] for name in (0, 1, 2, 3)} == {0: "/dev/null", 1: "pipe", 2: "pipe", 3: "socket"}
    assert set(held) <= {0, 1, 2, 3, 4}  # 4: the source that is being loaded, if it is still open
    assert held.get(4) != "pipe"


# --- bounded ----------------------------------------------------------------------------------------


def test_a_fork_bomb_runs_against_a_wall(ground):
    ground.need(Layer.PROCESS_COUNT)
    code = """
    count = 0
    try:
        while count < 300:
            if os.fork() == 0:
                signal.pause()
            count += 1
    except OSError as error:
        tell([count, errno.errorcode[error.errno]])
    """
    count, reason = ground.tell(code, bounds=Bounds(processes=24))
    assert count < 24
    assert reason == "EAGAIN"


@pytest.mark.parametrize("folder", [FOLDER, "/tmp", "/dev/shm"])
def test_filling_the_disk_fills_only_its_own(ground, folder):
    ground.need(Layer.MOUNT)
    code = f"""
    written = 0
    with open('{folder}/hog', 'wb', buffering=0) as hog:
        outcome = 'possible'
        try:
            while written < 64 << 20:
                written += hog.write(bytes(1 << 20))
        except OSError as error:
            outcome = errno.errorcode[error.errno]
    tell([written >> 20, outcome])
    """
    bounds = Bounds(folder_bytes=8 * MIB, temporary_bytes=8 * MIB, shared_memory_bytes=8 * MIB)
    written, outcome = ground.tell(code, bounds=bounds)
    assert written <= 8
    assert outcome in ("ENOSPC", "EFBIG")


def test_many_small_files_are_bounded_as_well(ground):
    ground.need(Layer.MOUNT)
    assert ground.tell("tell(os.statvfs('.').f_files)") <= 1 << 20


def test_private_memory_is_bounded_on_the_cpu(ground):
    ground.need(Layer.RESOURCE_LIMITS)
    code = """
    try:
        hog = bytearray(4 << 30)
        tell('possible')
    except MemoryError:
        tell('refused')
    """
    layers = ground.isolation.layers - {Layer.CGROUP}
    assert ground.tell(code, bounds=Bounds(memory_bytes=3 << 30), layers=layers) == "refused"


def test_a_memory_bomb_is_killed_and_told_apart_from_a_crash(ground):
    ground.need(Layer.CGROUP)
    code = """
    import mmap
    hog = mmap.mmap(-1, 1 << 30)  # shared memory, which no limit per process counts
    for offset in range(0, 1 << 30, 4096):
        hog[offset] = 1
    tell('possible')
    """
    attack = ground.die(code, bounds=Bounds(memory_bytes=256 * MIB))
    assert attack.told is None
    assert attack.status.out_of_memory
    assert attack.status.signal == signal.SIGKILL


def test_no_core_is_dumped(ground):
    ground.need(Layer.RESOURCE_LIMITS)
    code = "import resource; tell(resource.getrlimit(resource.RLIMIT_CORE))"
    assert ground.tell(code) == [0, 0]


def test_the_runner_is_the_first_to_be_killed_for_memory(ground):
    ground.need(Layer.OOM_FIRST)
    assert ground.tell("tell(Path('/proc/self/oom_score_adj').read_text().strip())") == "1000"


# --- what honest kernels need -----------------------------------------------------------------------


def test_modules_can_be_imported_late(ground):
    code = "import colorsys, sqlite3, torch.sparse, torch.utils.benchmark; tell(colorsys.__file__)"
    assert ground.tell(code).endswith("colorsys.py")


def test_its_folder_is_private_and_always_at_the_same_place(ground):
    ground.need(Layer.MOUNT)
    code = (
        "import tempfile; tell([os.getcwd(), os.environ['HOME'], tempfile.gettempdir(), os.listdir('/tmp')])"
    )
    home = [FOLDER, FOLDER, "/tmp"]
    assert [ground.tell(code)[:3] for _ in range(2)] == [home, home]


def test_shared_memory_works(ground):
    code = """
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=4096)
    memory.buf[0] = 7
    tell(memory.buf[0])
    memory.close(); memory.unlink()
    """
    assert ground.tell(code) == 7


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_a_compiler_works_and_what_it_makes_can_be_loaded(ground):
    code = """
    Path('f.c').write_text('int f(void) { return 42; }')
    subprocess.run(['cc', '-shared', '-fPIC', '-o', 'f.so', 'f.c'], check=True)
    tell(ctypes.CDLL('./f.so').f())
    """
    assert ground.tell(code) == 42


def test_torch_computes_with_threads(ground):
    code = """
    import torch
    torch.set_num_threads(2)
    tell(float(torch.ones(1000, 1000).matmul(torch.ones(1000, 1000)).sum()))
    """
    assert ground.tell(code) == 1e9


# --- ends -------------------------------------------------------------------------------------------

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


@pytest.fixture
def marker():
    """A number of seconds that nobody else sleeps for."""
    return f"86{os.getpid()}"


def surviving(marker):
    """Processes of this host that sleep for so long."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes().split(b"\0") and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_a_daemonised_child_dies_with_the_kill(ground, marker):
    ground.need(Layer.PID)
    runner = ground.runner()
    runner.run(SURVIVOR + f"survive({marker!r})")
    alive = surviving(marker)
    runner.finish()
    assert alive
    assert surviving(marker) == []


def test_a_daemonised_child_dies_when_the_runner_ends_by_itself(ground, marker):
    ground.need(Layer.PID)
    attack = ground.die(SURVIVOR + f"survive({marker!r})\nos._exit(0)")
    assert attack.status == ExitStatus(0)
    assert surviving(marker) == []


def test_a_child_that_holds_the_output_does_not_keep_it_open(ground, marker):
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


def test_a_fork_bomb_is_killed_whole(ground, marker):
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
    alive = surviving(marker)
    runner.finish()
    assert len(alive) == 20
    assert surviving(marker) == []


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
from kbd.daemon.executor.protocol import DeviceTarget, FromNewRunner
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


# --- the ladder -------------------------------------------------------------------------------------


def test_the_probe_tells_what_is_in_force(ground):
    report = ground.isolation.report()
    assert set(report.layers) == {layer.value for layer in ground.isolation.in_force}
    assert len(report.layers) + len({line.partition(":")[0] for line in report.missing}) >= len(Layer) - 1


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


def test_a_bare_child_still_ends_with_its_group(ground, marker):
    runner = ground.runner(layers=frozenset())
    runner.run(f"""
    child = subprocess.Popen(['sleep', {marker!r}])
    while {marker!r} not in Path(f'/proc/{{child.pid}}/cmdline').read_text():
        time.sleep(0.001)
    """)
    alive = surviving(marker)
    runner.finish()
    assert alive
    (orphan,) = alive
    assert (
        os.waitpid(orphan, 0)[0] == orphan
    )  # adopted by the sub-reaper, which its killed group leaves to reap


def test_a_refused_layer_is_named_with_its_reason(ground):
    ground.need(Layer.PID)
    sandbox = ground.sandbox().model_copy(
        update={"cgroups": ("/proc/nowhere",), "layers": ground.isolation.layers | {Layer.CGROUP}}
    )
    with pytest.raises(NurseryFailed, match="nowhere") as caught:
        ground.do(ground.nursery.fork("runner", ground.new_folder(), CPU, sandbox))
    assert caught.value.refused.layer is Layer.CGROUP


def test_a_layer_refused_inside_is_reported_by_the_process(ground):
    ground.need(Layer.PID)
    sandbox = ground.sandbox(bounds=Bounds()).model_copy(update={"layers": frozenset({Layer.SECCOMP})})
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


# --- as an ordinary user ----------------------------------------------------------------------------

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
