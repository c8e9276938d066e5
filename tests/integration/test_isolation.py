"""Attacks from inside a real sandbox: what is out of sight and out of reach of a kernel.

What the host's kernel does not give is skipped, with the reason that the probe found.
"""

import os
import socket
import sys
from pathlib import Path

import pytest

from kbd.daemon.executor.sandbox.layers import Layer
from kbd.daemon.executor.sandbox.plan import FOLDER

ROOT = os.geteuid() == 0

pytestmark = pytest.mark.xdist_group("isolation")

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
    assert ground.tell(f"tell(os.listdir({str(inside)!r}))", hidden=(str(inside),)) == []


def test_another_runners_folder_is_not_there(ground):
    ground.need(Layer.MOUNT)
    other = ground.new_folder()
    (other / "answer").write_text("42")
    assert ground.tell(f"tell(denied(os.listdir, {str(other)!r}))") == "ENOENT"


def test_the_hosts_temporary_files_are_not_there(ground):
    ground.need(Layer.MOUNT)
    assert ground.tell(f"tell(denied(os.listdir, {str(ground.folder)!r}))") == "ENOENT"


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


@pytest.mark.parametrize("cuda", [False, True])
def test_nothing_in_proc_but_its_own_processes_can_be_written(ground, cuda):
    """As root's process in a user namespace it would own these files; so it must not be rights that stop it."""
    ground.need(Layer.MOUNT, Layer.PID)
    code = """
    found = []
    for folder, _, names in os.walk('/proc'):
        if folder.split('/')[2:3] and folder.split('/')[2].isdecimal():
            continue
        for name in names:
            try:
                os.close(os.open(f'{folder}/{name}', os.O_WRONLY))
                found.append(f'{folder}/{name}')
            except OSError:
                pass
    tell(found)
    """
    layers = ground.isolation.layers - {Layer.LANDLOCK}
    if ROOT:
        layers = layers - {Layer.OWN_UID} | {Layer.USER_NAMESPACE}
    assert ground.tell(code, cuda=cuda, layers=layers) == []


@pytest.mark.parametrize(("cuda", "expected"), [(True, "named"), (False, "EACCES")])
def test_a_thread_can_be_named_where_the_cuda_driver_needs_it(ground, cuda, expected):
    ground.need(Layer.MOUNT, Layer.PID, Layer.LANDLOCK)
    code = """
    comm = f'/proc/self/task/{os.getpid()}/comm'
    outcome = denied(Path(comm).write_text, 'named')
    tell(outcome if outcome != 'possible' else Path(comm).read_text().strip())
    """
    assert ground.tell(code, cuda=cuda) == expected


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
