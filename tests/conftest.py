"""What all tests share: real daemons in real processes, and how hypothesis behaves."""

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from kbd.backends.build_tools import find_nvcc
from kbd.inbox.spool import Spool

DAEMON_LIMIT_S = 280
LOOK_AGAIN_S = 0.05
SOMEWHERE_ELSE = ("crash", "gpu", "skip", "slurm", "systemd")  # what does not run just everywhere, or unasked
PROVED = pytest.StashKey[dict[str, set[str]]]()
ALL_SAMPLES_LIMIT_S = 1200

# Hosts of tests are busy: how long an example takes says nothing about the code.
settings.register_profile("kbd", deadline=None)
settings.load_profile("kbd")


def pytest_addoption(parser):
    parser.addoption(
        "--write-golden", action="store_true", help="write golden files anew; then read the diff"
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Thousands of tests are found and stay: looking for garbage among them would take a good part of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Note which tests prove which rows of docs/faults.md, before any are deselected."""
    proved = config.stash.setdefault(PROVED, {})
    for item in items:
        if any(item.get_closest_marker(name) for name in SOMEWHERE_ELSE):
            continue
        for mark in item.iter_markers("fault"):
            proved.setdefault(mark.args[0], set()).add(item.nodeid.partition("[")[0])


@pytest.fixture(scope="session")
def proved(pytestconfig):
    """Tests by the row of docs/faults.md that they prove."""
    everything = {pytestconfig.rootpath / name for name in pytestconfig.getini("testpaths")}
    if {Path(name).resolve() for name in pytestconfig.args} != everything:
        pytest.skip("only some tests were collected: run them all, without naming files")
    return pytestconfig.stash[PROVED]


@pytest.fixture(scope="session")
def long_tests():
    """Whether tests that have a shorter variant are wanted in full: KBD_TEST_LONG=1."""
    return os.environ.get("KBD_TEST_LONG") == "1"


@pytest.fixture
def same_as_golden(request):
    """Compare a text with a file of the folder `golden/` beside the test; or write it, if so told."""

    def compare(text, name):
        path = request.path.parent / "golden" / name
        if request.config.getoption("--write-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(scope="session", autouse=True)
def settings_of_nobody(tmp_path_factory):
    """No test reads the settings of whoever runs it, nor writes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@dataclass
class Daemon:
    """A spool, a state folder, and ways to run a daemon on them."""

    root: Path

    def __post_init__(self):
        self.spool = Spool.create(self.root / "spool")
        self.state = self.root / "state"
        self.started = []
        self.process = None

    def command(self, *flags, device="cpu"):
        named = ["--spool", str(self.spool.root), "--state", str(self.state)]
        return [sys.executable, "-m", "kbd.daemon.cli.main", "run", *named, "--device", device, *flags]

    def start(self, *flags, device="cpu", **environment):
        process = subprocess.Popen(
            self.command(*flags, device=device),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        self.started.append(process)
        return process

    def end(self):
        """A test that failed leaves its daemons running; they would disturb those that follow."""
        for process in self.started:
            process.kill()
            process.wait()
            process.stdout.close()

    @contextmanager
    def staying(self, device="cpu", **environment):
        """A daemon for the length of the block, whatever it says; it must end cleanly."""
        with (self.root / "said").open("w+") as said:
            self.process = subprocess.Popen(
                self.command(device=device),
                stdout=said,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
            )
            try:
                yield
                self.process.terminate()
                code = self.process.wait(DAEMON_LIMIT_S)
            finally:
                self.process.kill()
                self.process.wait()
            said.seek(0)
            assert code == 0, said.read()

    def await_results(self, *names, limit_s=DAEMON_LIMIT_S):
        """The results of these jobs, as soon as the daemon that stays has made them."""
        deadline = time.monotonic() + limit_s
        while missing := {name for name in names if not (self.spool.outbox / f"{name}.json").exists()}:
            assert self.process.poll() is None, f"the daemon ended without results of {missing}"
            assert time.monotonic() < deadline, f"waited {limit_s} s for results of {missing}"
            time.sleep(LOOK_AGAIN_S)
        return {name: result for name, result in self.results().items() if name in names}

    def run_once(self, device="cpu", limit_s=DAEMON_LIMIT_S, **environment):
        """Everything in the inbox, then the daemon's end; its output is shown when it fails."""
        daemon = self.start("--once", device=device, **environment)
        try:
            output, _ = daemon.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            daemon.kill()
            raise
        assert daemon.returncode == 0, output.decode()
        return output.decode()

    def deliver(self, name, text):
        """As the safe recipe has it: write under a dot name, rename."""
        hidden = self.spool.inbox / f".{name}.tmp"
        hidden.write_text(text)
        hidden.rename(self.spool.inbox / name)

    def deliver_sample(self, case, job_id=None):
        job_id = job_id or case.name
        hidden = self.spool.inbox / f".{job_id}.tmp"
        shutil.copytree(case, hidden, ignore=shutil.ignore_patterns("expected.json"))
        hidden.rename(self.spool.inbox / f"{job_id}.job")

    def results(self):
        return {path.stem: json.loads(path.read_text()) for path in self.spool.outbox.glob("*.json")}

    def log(self):
        lines = (self.state / "logs" / "daemon.log").read_text().splitlines()
        return [json.loads(line) for line in lines]


SAMPLES = Path(__file__).parent / "samples"
MIB = 1 << 20
CALM_TRIES = 8
# Small, so that those who use all that they are given are quick about it, and a host of tests can spare it.
SAMPLE_LIMITS = {
    "KBD_RUNNER_MEMORY_BYTES": str(4096 * MIB),
    "KBD_RUNNER_FOLDER_BYTES": str(256 * MIB),
    "KBD_RUNNER_TEMPORARY_BYTES": str(128 * MIB),
    "KBD_RUNNER_SHARED_MEMORY_BYTES": str(128 * MIB),
    "KBD_RUNNER_PROCESSES": "256",
}


def samples_for(device, **wanted):
    """Folders of the samples that make sense on a kind of device and whose expected.json says so much more."""
    found = []
    for path in sorted(SAMPLES.glob("*/expected.json")):
        expected = json.loads(path.read_text())
        as_wanted = all(expected.get(name, False) == value for name, value in wanted.items())
        if expected.get("only_on", device) == device and as_wanted:
            found.append(path.parent)
    return found


def pytest_generate_tests(metafunc):
    """A test of `sample` is done for every sample of its module's DEVICE, of those that it WANTS."""
    if "sample_results" in metafunc.fixturenames:
        metafunc.definition.add_marker(pytest.mark.timeout(ALL_SAMPLES_LIMIT_S))  # the first waits for all
    if "sample" in metafunc.fixturenames:
        metafunc.parametrize("sample", wanted_samples(metafunc.module), ids=lambda case: case.name)


def wanted_samples(module):
    """Those for the DEVICE of a module of tests, and as it WANTS them."""
    return samples_for(module.DEVICE, **getattr(module, "WANTS", {}))


@pytest.fixture(scope="module")
def sample_results(request, make_daemon):
    """What a real daemon on the module's DEVICE makes of every sample that the module wants."""
    daemon, device, samples = make_daemon(), request.module.DEVICE, wanted_samples(request.module)
    for case in samples:
        daemon.deliver_sample(case)
    with daemon.staying(device=device, **SAMPLE_LIMITS):
        daemon.await_results(*(case.name for case in samples), limit_s=ALL_SAMPLES_LIMIT_S - 100)
        results = daemon.results()
        for case in samples:
            if expected_of(case, device).get("calm"):
                results[case.name] = in_a_calm_moment(daemon, case, results[case.name])
    return results


def is_withheld(result):
    """Whether figures that prove nothing on a busy host were kept from making a speed-up."""
    stops = [(workload["performance"] or {}).get("stop") or "" for workload in result["workloads"]]
    said = [*result["notes"], *stops]
    return result["speedup"] is None and any(
        reason in text
        for text in said
        for reason in ("host was busy", "too noisy for a speed-up", "at work between its turns")
    )


def in_a_calm_moment(daemon, case, result):
    """The result of a sample whose verdict rests on times: judged again while the host is too busy to say more."""
    for number in range(CALM_TRIES):
        if result["status"] != "passed" or is_withheld(result):
            break
        job_id = f"{case.name}-{number}"
        daemon.deliver_sample(case, job_id)
        result = daemon.await_results(job_id)[job_id]
    return result


@pytest.fixture(scope="session")
def samples_of():
    """Folders of samples by kind of device and by what their expected.json says."""
    return samples_for


@pytest.fixture(scope="session")
def sample_limits():
    """Settings of a daemon that judges samples."""
    return SAMPLE_LIMITS


def expected_of(case, device):
    """What a sample's expected.json says for a kind of device: its own part wins over what holds everywhere."""
    expected = json.loads((case / "expected.json").read_text())
    by_device = {kind: expected.pop(kind, {}) for kind in ("cpu", "cuda")}
    return expected | by_device[device]


# What else an expected.json can say, and whether a result is so.
ALSO_EXPECTED = {
    "message": lambda expected, result: expected in result["error"]["message"],
    "hint": lambda expected, result: expected in result["error"]["hint"],
    "log": lambda expected, result: expected in result["logs"]["candidate"],
    "log_lacks": lambda expected, result: expected not in result["logs"]["candidate"],
    "memory": lambda expected, result: expected.items() <= result["error"]["memory"].items(),
    "note": lambda expected, result: any(expected in note for note in result["notes"]),
    "note_lacks": lambda expected, result: all(expected not in note for note in result["notes"]),
    "weak_test": lambda expected, result: result["weak_test"] == expected,
    "oracle": lambda expected, result: result["workloads"][0]["correctness"]["oracle"].startswith(expected),
    "pairs": lambda expected, result: (
        is_withheld(result) or len(result["workloads"][0]["performance"]["pairs"]) == expected
    ),
    "processes": lambda expected, result: (
        len(result["workloads"][0]["performance"]["processes_us"]) == expected
    ),
    "launches": lambda expected, result: (
        expected == [launch["kernel"] for launch in result["workloads"][0]["performance"]["launches"]]
    ),
}


def check_sample(case, result, device):
    """Whether a result is what its sample expects on this kind of device."""
    expected = expected_of(case, device)
    if expected.get("needs") == "nvcc" and find_nvcc() is None:
        pytest.skip("nvcc is not installed")
    if expected.get("calm") and is_withheld(result):
        return
    if expected.get("may_be_found_out") and result["status"] == "suspect":
        return  # by what the judge happens to choose
    found = {name: result[name] for name in ("status", "stage", "blame")}
    why = f"error: {result['error']}\nsuspect: {result['suspect']}"  # a text: of other things pytest shows the ends
    assert found == {name: expected[name] for name in found}, why
    for name in ALSO_EXPECTED.keys() & expected.keys():
        assert ALSO_EXPECTED[name](expected[name], result), (name, expected[name], result)
    if result["status"] == "passed":
        assert result["error"] is None
    if result["status"] == "passed" and expected.get("timed", True):
        assert result["workloads"][0]["performance"]["candidate"]["as_called"]["median"] > 0


@pytest.fixture(scope="session")
def sample_check():
    return check_sample


@pytest.fixture
def daemon(tmp_path):
    found = Daemon(tmp_path)
    yield found
    found.end()


@pytest.fixture(scope="session")
def make_daemon(tmp_path_factory):
    made = []

    def make():
        made.append(Daemon(tmp_path_factory.mktemp("daemon")))
        return made[-1]

    yield make
    for each in made:
        each.end()
