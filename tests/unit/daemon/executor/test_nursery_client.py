"""A real nursery: its children are the daemon's, each alone with its channel and its folder."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from kbd.daemon.executor import kernel_calls
from kbd.daemon.executor.channel import Channel, PeerGone
from kbd.daemon.executor.nursery_client import NurseryClient, NurseryFailed
from kbd.daemon.executor.process import ExitStatus
from kbd.daemon.executor.protocol import DeviceTarget, ForkFailed, FromJudge, JudgeReady, Ready
from kbd.daemon.executor.runner_protocol import (
    Bind,
    Burst,
    Failed,
    FromNewRunner,
    FromRunner,
    Load,
    Loaded,
    Okay,
    Ran,
    Run,
    Warm,
)
from kbd.daemon.runner.values import unpack
from kbd.inbox.manifest import KernelCode

CORES = tuple(sorted(os.sched_getaffinity(0))[-1:])
CPU = DeviceTarget(kind="cpu", threads=2, cores=CORES)
ANSWER_LIMIT_S = 60

# One nursery for all of them: xdist must not start one in every worker.
pytestmark = pytest.mark.xdist_group("nursery")

LOOK_AROUND = """
import os, resource, socket, stat, tempfile

def look_around():
    import torch
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    return {
        "environment": dict(os.environ),
        "descriptors": descriptors,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "folder": os.getcwd(),
        "temporary": tempfile.gettempdir(),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "os_threads": len(os.listdir("/proc/self/task")),
        "torch_threads": torch.get_num_threads(),
        "cores": sorted(os.sched_getaffinity(0)),
        "draws": [float(torch.rand(())), __import__("random").random()],
        "inheritable": os.get_inheritable(3),
    }
"""


class Nest:
    """A client on an event loop of its own, and what it forked."""

    def __init__(self, folder):
        self.folder = folder
        self.client = NurseryClient(folder / "nursery.log")
        self._runner = asyncio.Runner()
        self._children = []

    def do(self, coroutine):
        return self._runner.run(coroutine)

    def fork(self, child, name):
        folder = self.folder / name
        folder.mkdir()
        process, sock = self.do(self.client.fork(child, folder, CPU))
        if child == "runner":
            assert Channel(sock, FromNewRunner).receive(ANSWER_LIMIT_S) == Warm()
        channel = Channel(sock, FromJudge if child == "judge" else FromRunner)
        self._children.append((process, channel))
        return process, channel

    def end(self):
        for process, channel in self._children:
            channel.close()
            self.do(process.kill())
        self.do(self.client.stop())
        self._runner.close()


@pytest.fixture(scope="module")
def nest(tmp_path_factory):
    kernel_calls.adopt_orphans()
    nest = Nest(tmp_path_factory.mktemp("nest"))
    yield nest
    nest.end()
    kernel_calls._prctl(kernel_calls.PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def fork(nest, request):
    count = iter(range(100))
    return lambda child: nest.fork(child, f"{request.node.name}-{next(count)}")


def ask(channel, question):
    channel.send(question)
    return channel.receive(ANSWER_LIMIT_S)


def call(channel, source):
    """What the only function of a module returns in a runner."""
    kernel = KernelCode(kernel_type="torch", source_code=source)
    loaded = ask(channel, Load(role="candidate", kernel=kernel, init_seed=0))
    assert isinstance(loaded, Loaded), loaded
    assert ask(channel, Bind(index=0, values=[], slots=())) == Okay()
    ran = ask(channel, Run(index=0))
    assert isinstance(ran, Ran), ran
    return unpack(ran.values.tree, [])


def test_the_nursery_tells_its_versions(nest):
    nest.do(nest.client.start())
    assert set(nest.client.environment) == {"torch", "triton", "numpy", "python", "cuda"}
    assert nest.client.environment["torch"]
    assert nest.client.pid is not None
    assert not nest.client.forking


def test_starting_again_starts_nothing(nest):
    nest.do(nest.client.start())
    pid = nest.client.pid
    nest.do(nest.client.start())
    assert nest.client.pid == pid


def test_a_runner_answers_on_its_own_channel_and_ends_with_it(nest, fork):
    process, channel = fork("runner")
    answer = ask(channel, Burst(index=0))
    assert isinstance(answer, Failed)
    assert answer.message == "no input sets are bound"
    channel.close()
    assert nest.do(process.wait()) == ExitStatus(0)


def test_a_judge_introduces_itself(fork):
    _, channel = fork("judge")
    ready = channel.receive(ANSWER_LIMIT_S)
    assert isinstance(ready, JudgeReady)
    assert ready.device.kind == "cpu"


def test_a_child_is_the_daemons_and_alone(nest, fork, monkeypatch):
    monkeypatch.setenv("KBD_SECRET", "x")
    process, channel = fork("runner")
    found = call(channel, LOOK_AROUND)
    folder = str(process.folder)
    assert found["pid"] == process.pid == found["session"]
    assert found["parent"] == os.getpid()
    assert found["folder"] == folder
    assert found["temporary"] == f"{folder}/tmp"
    assert found["core"] == 0
    assert found["no_new_privileges"] == "1"
    assert found["torch_threads"] == CPU.threads
    assert tuple(found["cores"]) == CORES
    assert found["inheritable"] is False


def test_a_child_inherits_no_descriptor(fork):
    _, first = fork("runner")
    _, second = fork("runner")
    for channel in (first, second):
        descriptors = call(channel, LOOK_AROUND)["descriptors"]
        # Listing the folder opens one more, which is gone by the time it is looked at.
        kinds = {number: target.split(":")[0] for number, target in descriptors.items()}
        assert kinds == {0: "/dev/null", 1: "pipe", 2: "pipe", 3: "socket"}
        assert descriptors[1] == descriptors[2]


def test_every_place_that_a_kernel_may_write_to_is_its_own(fork):
    process, channel = fork("runner")
    environment = call(channel, LOOK_AROUND)["environment"]
    places = {
        name: value
        for name, value in environment.items()
        if name.endswith(("_DIR", "_PATH", "_HOME", "HOME", "TMPDIR"))
        and name not in {"CUDA_HOME", "CUDA_PATH", "LD_LIBRARY_PATH"}
    }
    assert set(places) >= {"HOME", "TMPDIR", "TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "CUDA_CACHE_PATH"}
    assert {name: value for name, value in places.items() if not value.startswith(str(process.folder))} == {}
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert "PYTHONPATH" not in environment
    assert not [name for name in environment if name.startswith("KBD_")]


def test_children_do_not_draw_the_same_numbers(fork):
    draws = [call(fork("runner")[1], LOOK_AROUND)["draws"] for _ in range(2)]
    assert draws[0][0] != draws[1][0]
    assert draws[0][1] != draws[1][1]


def test_what_a_kernel_prints_is_kept(nest, fork):
    process, channel = fork("runner")
    call(channel, "import sys\ndef f():\n    print('out', flush=True)\n    print('err', file=sys.stderr)\n")
    channel.close()
    nest.do(process.wait())
    nest.do(process.kill())
    assert sorted(process.output.text().split()) == ["err", "out"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("os._exit(3)", ExitStatus(3)), ("os.kill(os.getpid(), 11)", ExitStatus(None, signal.SIGSEGV))],
)
def test_a_child_that_dies_takes_nobody_with_it(nest, fork, code, status):
    process, channel = fork("runner")
    _, other = fork("runner")
    with pytest.raises(PeerGone):
        call(channel, f"import os\ndef f():\n    {code}\n")
    assert nest.do(process.wait()) == status
    assert call(other, "def f():\n    return 'alive'\n") == "alive"


def test_a_killed_nursery_is_replaced_and_its_children_live_on(nest, fork):
    _, channel = fork("runner")
    dead = nest.client.pid
    os.kill(dead, signal.SIGKILL)
    with capture_logs() as logs:
        _, second = fork("runner")
    assert nest.client.pid != dead
    assert "nursery_ready" in [record.get("action") for record in logs]
    assert call(channel, "def f():\n    return 1\n") == 1
    assert call(second, "def f():\n    return 2\n") == 2


# --- a nursery in name only --------------------------------------------------------------------------


@pytest.fixture
def impostor(tmp_path, monkeypatch):
    """A client whose nursery is a function of each request; None: it dies instead of answering."""

    def client(answer):
        client = NurseryClient(tmp_path / "nursery.log")

        async def start():
            if client._channel is None:
                client._channel = Scripted()
                client._process = SimpleNamespace(pid=1, poll=lambda: None, kill=starts.pop, wait=lambda: 0)
                starts.append(1)

        class Scripted:
            async def send(self, message, descriptors=()):
                self.answer = answer(message)

            async def receive(self):
                if self.answer is None:
                    raise PeerGone("dead")
                return self.answer

            def close(self):
                return None

        starts = [0]
        monkeypatch.setattr(client, "_ensure_started", start)
        return client

    return client


def test_a_nursery_that_always_dies_is_given_up(impostor, on_loop, tmp_path):
    client = impostor(lambda _: None)
    with capture_logs() as logs, pytest.raises(NurseryFailed, match=r"3 times.*nursery\.log"):
        on_loop(client.fork("runner", tmp_path, CPU))
    assert [record["action"] for record in logs] == ["nursery_lost"] * 3
    assert not client.forking


def test_a_refused_fork_is_told(impostor, on_loop, tmp_path, open_descriptors):
    client = impostor(lambda request: ForkFailed(token=request.token, message="no more processes"))

    async def fork():
        before = open_descriptors()
        with pytest.raises(NurseryFailed, match="no more processes"):
            await client.fork("runner", tmp_path, CPU)
        return open_descriptors() - before

    assert on_loop(fork()) == 0


def test_an_answer_out_of_turn_is_no_child(impostor, on_loop, tmp_path):
    client = impostor(lambda _: Ready(environment={}))
    with pytest.raises(NurseryFailed, match="out of turn"):
        on_loop(client.fork("runner", tmp_path, CPU))


def test_requests_carry_different_tokens(impostor, on_loop, tmp_path):
    seen = []

    def refuse(request):
        seen.append(request.token)
        return ForkFailed(token=request.token, message="no")

    client = impostor(refuse)
    for _ in range(3):
        with pytest.raises(NurseryFailed):
            on_loop(client.fork("judge", tmp_path, CPU))
    assert len(set(seen)) == 3


def test_a_nursery_that_does_not_start_says_why(tmp_path, on_loop, monkeypatch):
    log_path = tmp_path / "nursery.log"

    async def start(channel_fd, output_fd):
        os.write(output_fd, b"ImportError: no torch here")
        return SimpleNamespace(pid=1, poll=lambda: 1, kill=lambda: None, wait=lambda: 1)

    monkeypatch.setattr("kbd.daemon.executor.nursery_client._start", start)
    client = NurseryClient(log_path)
    with pytest.raises(NurseryFailed, match="no torch here"):
        on_loop(client.start())
    assert client.pid is None


def test_a_nursery_whose_log_cannot_be_written_leaves_nothing_open(tmp_path, on_loop, open_descriptors):
    client = NurseryClient(tmp_path / "not" / "there.log")
    on_loop(client.stop())  # the loop has its own descriptors from now on
    before = open_descriptors()
    with pytest.raises(FileNotFoundError):
        on_loop(client.start())
    assert open_descriptors() == before
