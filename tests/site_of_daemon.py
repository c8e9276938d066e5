"""A daemon at work, people who use `kbd` on it, and jobs that sleep in the stage one likes."""

import functools
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import psutil

from kbd.daemon.ownership import running_daemon
from kbd.inbox.control import ControlRequest, Verb, ask, take_answer
from tests import waiting

LIMIT_S = 120
until = functools.partial(waiting.until, limit_s=LIMIT_S)

# The sleeper is found by the name that it gives its process when it begins to sleep.
JOB = """
version: 1
timeout: 100
candidate:
  kernel_type: {kernel_type}
  metadata: {{function_name: same}}
  source_code: |
    import ctypes, time
    import torch
    def sleep():
        ctypes.CDLL(None).prctl(15, b"kbd-sleeper", 0, 0, 0)
        {sleeping}
    {at_load}
    calls = 0
    def same(x):
        global calls
        calls += 1
        if {sleeps_when}:
            sleep()
        return x + 0
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [4], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 1, mode: {mode}}}
"""
TIMED = "calls > 200"
ON_THE_DEVICE = "torch.cuda._sleep(1 << 40)"


def job(*, kernel_type="torch", at_load="", sleeps_when="False", sleeping="time.sleep(600)", mode="full"):
    return JOB.format(**locals())


QUICK = job(mode="correctness")
GOOD = job()
SLEEPS_IN = {
    "load": job(at_load="sleep()"),
    "correctness": job(sleeps_when="True"),
    "timing": job(sleeps_when=TIMED),
}
SLEEPS_IN_COMPILER = job(kernel_type="torch_cuda", at_load="from torch.utils import cpp_extension; sleep()")


class Site:
    """A daemon on a spool, and people who use `kbd`."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.spool = daemon.spool
        self.process = None

    @contextmanager
    def running(self, device="cpu", **environment):
        """A daemon for the length of the block; it must end cleanly."""
        self.process = subprocess.Popen(
            self.daemon.command(device=device),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | environment,
        )
        until(lambda: running_daemon(self.daemon.state), "the daemon")
        try:
            yield self.process
        finally:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            assert self._ended() == 0, self.last_words()

    def _ended(self):
        """How the daemon ended; None, and it is killed, where it did not."""
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def last_words(self):
        """The end of the daemon's log."""
        return "\n".join(json.dumps(record) for record in self.daemon.log()[-20:])

    def deliver(self, name, text, owner=None):
        folder = self.spool.inbox / (owner or "")
        folder.mkdir(exist_ok=True)
        hidden = folder / f".{name}.tmp"
        hidden.write_text(text)
        hidden.rename(folder / f"{name}.yaml")

    def kbd(self, *arguments, code=0, state=None):
        """One command as typed on this host, or (with another state folder) on one that sees the spool alone."""
        place = ["--spool", str(self.spool.root), "--state", str(state or self.daemon.state)]
        ended = subprocess.run(
            [sys.executable, "-m", "kbd.daemon.cli.main", arguments[0], *place, *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def log(self, *actions):
        """Records with these actions, in order."""
        try:
            return [record for record in self.daemon.log() if record.get("action") in actions]
        except FileNotFoundError:
            return []

    def wait_for(self, action, count=1, **fields):
        """The first so many records of an action that have these fields."""

        def found():
            records = [record for record in self.log(action) if record.items() >= fields.items()]
            return records if len(records) >= count else None

        return until(found, f"{action} {fields}, {count} of them")

    def wait_for_stage(self, job_id, stage):
        if stage == "load":
            self.wait_for("attempt", job=job_id)
        else:
            self.wait_for("stage", job=job_id, stage=stage)
        until(self.sleepers, "the sleeping kernel")

    def sleepers(self):
        found = []
        for process in self.processes():
            try:
                found += [process.pid] if process.name() == "kbd-sleeper" else []
            except psutil.NoSuchProcess:
                continue
        return found

    def processes(self):
        """All that descend from the daemon."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def cancel_in(self, stage, name, text, state):
        """The result of a job that is cancelled while it sleeps; nothing works for it then, and the next passes."""
        self.deliver(name, text)
        self.wait_for_stage(name, stage)
        said = self.kbd("cancel", name, "--reason", "too slow", state=state)
        assert f"{name} is cancelled" in said
        assert self.sleepers() == []
        result = self.daemon.results()[name]
        assert (result["status"], result["state"], result["blame"]) == ("cancelled", "cancelled", None)
        assert result["stage"] == stage
        assert result["attempt"] == 1
        assert "too slow" in result["error"]["message"]
        self.deliver(f"after_{name}", GOOD)
        assert self.result(f"after_{name}")["status"] == "passed", "the device is free again"
        assert [record["first"] for record in self.log("finished") if record["job"] == name] == [True]

    def status(self):
        try:
            return json.loads(self.spool.status_file.read_text())
        except FileNotFoundError:
            return {"paused": None, "pause": None, "drain": None}

    def result(self, job_id):
        path = self.spool.outbox / f"{job_id}.json"
        until(path.exists, f"the result of {job_id}")
        return json.loads(path.read_text())

    def turn(self):
        """Wait until the daemon has gone through all its verbs once from now on."""
        for _ in range(2):
            token = ask(self.spool, ControlRequest(verb=Verb.WAKE))
            until(lambda token=token: take_answer(self.spool, token), "an answer")

    def waiting(self):
        return sorted(path.name for path in self.spool.inbox.iterdir())
