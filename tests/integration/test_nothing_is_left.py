"""After every hostile sample in a row: right verdicts, a good job that passes, and nothing of theirs anywhere.

Once as whoever runs the tests, and once more as an ordinary user where that is root.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from kbd.daemon.executor import kernel_calls
from kbd.daemon.executor.process_tree import children_of
from kbd.daemon.executor.sandbox.cgroup import own_groups
from kbd.daemon.executor.sandbox.layers import Layer

LIMIT_S = 280
LOOK_AGAIN_S = 0.1
NOBODY = {"user": 65534, "group": 65534, "extra_groups": ()}
ROOT = os.geteuid() == 0
PLANTED = "kbd-planted-by-a-sample"
GOOD = "zz_good"
# These samples use up all that they are given: the less that is, the quicker they are about it.
LITTLE = {"KBD_RUNNER_MEMORY_BYTES": str(2 << 30), "KBD_RUNNER_PROCESSES": "128"}
PLACES = [Path("/dev/shm"), Path("/tmp"), Path("/var/tmp"), Path(tempfile.gettempdir()), Path(sys.prefix)]

pytestmark = pytest.mark.xdist_group("isolation")


def tree_of(pid):
    """A process and all that descend from it."""
    found, todo = set(), [pid]
    while todo:
        one = todo.pop()
        found.add(one)
        with contextlib.suppress(OSError):
            todo.extend(children_of(one) - found)
    return found


class Series:
    """A daemon that stays, fed with one sample after the other."""

    def __init__(self, daemon, samples, command, limits, **identity):
        self.daemon, self.samples = daemon, samples
        self.others = children_of(os.getpid())  # of tests that ran before in this process
        self._command, self._identity = command, identity
        self._environment = os.environ | limits

    def run(self):
        """Everything that can be looked at while the daemon lives and when it has ended."""
        daemon = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            **self._identity,
        )
        self._process = daemon
        try:
            self.pid = daemon.pid
            self._judge("aa_good")
            quiet = self._settled()
            for sample in self.samples:
                self._deliver(sample)
            self._await({sample.name for sample in self.samples})
            self._judge(GOOD)
            self.grown = self._settled(quiet)
            self.groups_while_idle = self._groups()
            self.device = self._device_at_rest()
        finally:
            daemon.terminate()
            self.said = daemon.communicate(timeout=LIMIT_S)[0].decode()
        self.status = daemon.returncode
        self.results = self.daemon.results()
        return self

    def _deliver(self, sample):
        """As the user whom the daemon works for."""
        hidden = self.daemon.spool.inbox / f".{sample.name}.tmp"
        shutil.copytree(sample, hidden, ignore=shutil.ignore_patterns("expected.json"))
        for path in (hidden, *hidden.rglob("*")):
            os.chown(path, self._identity.get("user", -1), self._identity.get("group", -1))
        hidden.rename(self.daemon.spool.inbox / f"{sample.name}.job")

    def _judge(self, name):
        self.daemon.deliver(f"{name}.yaml", RELU)
        self._await({name})

    def _await(self, names):
        deadline = time.monotonic() + LIMIT_S
        outbox = self.daemon.spool.outbox
        while missing := names - {path.stem for path in outbox.glob("*.json")}:
            assert self._process.poll() is None, f"the daemon ended without a result of {missing}"
            assert time.monotonic() < deadline, f"no result of {missing}"
            time.sleep(LOOK_AGAIN_S)

    def _settled(self, expected=None):
        """How many processes there are when nothing runs and the spares are made; waits for `expected`."""
        deadline = time.monotonic() + 60
        before, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            count = len(tree_of(self.pid))
            if count != before:
                before, since = count, time.monotonic()
            if count == expected if expected is not None else time.monotonic() - since > 2:
                break
            time.sleep(LOOK_AGAIN_S)
        return before if expected is None else before - expected

    def _device_at_rest(self):
        """The device as status.json shows it once it shows no job, or after a while."""
        deadline = time.monotonic() + 60
        while True:
            (device,) = json.loads(self.daemon.spool.status_file.read_text())["devices"]
            if device["job"] is None or time.monotonic() > deadline:
                return device
            time.sleep(LOOK_AGAIN_S)

    def _groups(self):
        with contextlib.suppress(OSError):
            folders = {folder for folder, _ in own_groups()}
            return [str(path) for folder in folders for path in folder.glob(f"kbd-{self.pid}-*")]
        return []


RELU = """
reference: {kernel_type: torch, source_code: "import torch\\ndef entry(x):\\n    return torch.relu(x)\\n"}
candidate: {kernel_type: torch, source_code: "def entry(x):\\n    return x.clamp(min=0)\\n"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [64], dtype: float32}}]}
evaluation: {num_correct_trials: 2, num_trials: 10}
"""


@pytest.fixture(scope="module")
def adopting():
    """Whatever the daemon leaves when it ends becomes a child of these tests, and can be seen."""
    kernel_calls.adopt_orphans()
    yield
    kernel_calls._prctl(kernel_calls.PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture(scope="module")
def planted():
    """What earlier runs of a host without a sandbox may have left."""

    def look():
        return {str(place / PLANTED) for place in PLACES if (place / PLANTED).exists()}

    return look


def interpreter_for_everybody():
    """A Python of this version that any user may start; else the test is skipped."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([path, "-c", ""], capture_output=True, check=True, **NOBODY)
            return path
    pytest.skip(f"user nobody may not start any {name} of this host")
    return None


@pytest.fixture(scope="module", params=["oneself", "nobody"])
def series(request, make_daemon, samples_of, sample_limits, adopting, planted):
    daemon, samples, limits = make_daemon(), samples_of("cpu", hostile=True), sample_limits | LITTLE
    if request.param == "oneself":
        yield Series(daemon, samples, daemon.command(), limits).run()
        return
    if not ROOT:
        pytest.skip("whoever runs this is an ordinary user already")
    root = Path(tempfile.mkdtemp(prefix="kbd-nobody-"))  # the tests' own folders are for their user alone
    daemon = type(daemon)(root)
    daemon.state.mkdir()
    for path in (root, *root.rglob("*")):
        os.chown(path, NOBODY["user"], NOBODY["group"])
    checkout = str(
        Path(__file__).parents[2]
    )  # pytest has it on its path, and kernels would see all that is in it
    places = [f"{checkout}/.typing", *(path for path in sys.path if os.path.isdir(path) and path != checkout)]
    command = [interpreter_for_everybody(), *daemon.command()[1:]]
    limits |= {
        "PYTHONPATH": os.pathsep.join(places),
        "HOME": str(root),
        "XDG_CONFIG_HOME": str(root),
    }
    try:
        yield Series(daemon, samples, command, limits, **NOBODY).run()
    finally:
        shutil.rmtree(root)


def test_every_verdict_is_right(series, sample_check):
    problems = {}
    for sample in series.samples:
        try:
            sample_check(sample, series.results[sample.name], "cpu")
        except AssertionError as error:
            problems[sample.name] = str(error)
    assert problems == {}


def test_the_good_job_behind_them_passes(series):
    assert series.results[GOOD]["status"] == "passed", series.results[GOOD]["error"]
    assert series.results[GOOD]["attempt"] == 1


def test_the_daemon_has_survived_them(series):
    assert series.status == 0, series.said
    assert not [line for line in series.daemon.log() if line["action"] in ("nursery_lost", "attempt_broken")]


def test_no_process_of_theirs_is_left(series):
    """As many as before them: daemon, nursery, judge, spares. And none once the daemon has ended."""
    assert series.grown == 0
    assert children_of(os.getpid()) - series.others == set()


def test_no_file_of_theirs_is_left(series, planted):
    if Layer.MOUNT.value not in series.results[GOOD]["isolation"]["layers"]:
        pytest.skip("without a mount namespace shared folders are the host's")
    assert planted() == set()
    assert not series.daemon.state.joinpath("work").exists()
    assert not [path for path in Path("/dev/shm").glob("*kbd*") if path.name != PLANTED]


def test_no_cgroup_of_theirs_is_left(series):
    spares = 2
    assert len(series.groups_while_idle) <= spares * len({folder for folder, _ in own_groups()})
    assert series._groups() == []


def test_no_lease_of_theirs_is_left(series):
    assert (series.device["job"], series.device["problem"]) == (None, None)
