"""Real disks that refuse: one that is mounted read-only, and one that is full."""

import os
import subprocess
import sys

import pytest

PRELUDE = """
import subprocess
from pathlib import Path

from kbd.daemon.assembly import JobIdentity, refused
from kbd.daemon.claimant import claimant
from kbd.daemon.config import Limits, Settings
from kbd.daemon.desk import open_desk
from kbd.inbox.lease import take_lease
from kbd.inbox.spool import Spool
from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import Blame, EvaluationStatus, Stage
from kbd.store.states import JobState

JOB = '''
version: 1
candidate: {kernel_type: torch, source_code: "def f(x): return x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}
'''
spool = Spool.create(Path("/mnt/spool"))
state = Path("STATE")
state.mkdir()
settings = Settings(spool=spool.root, state=state, limits=Limits(min_free_bytes=1 << 20))
desk = open_desk(settings, spool, take_lease(spool, claimant(state, 30), None))

def deliver(name):
    (spool.inbox / name).write_text(JOB)
    return desk.take_in.round([spool.inbox / name])

def finish(job_id):
    error = ErrorReport(type="Unsupported", message="x" * 9000)
    identity = JobIdentity(job_id, "a" * 64, 1, {})
    result = refused(identity, EvaluationStatus.UNSUPPORTED, Blame.JOB, Stage.LOAD, error)
    desk.store.begin_attempt(job_id, "cpu0", JobState.COMPILING)
    desk.store.finish(job_id, JobState.COMPLETED, result.to_json(), "unsupported")

def publish():
    try:
        return desk.publishing.publish_owed()
    except OSError as error:
        return error.strerror

def outbox():
    return sorted(path.name for path in spool.outbox.rglob("*") if path.is_file())

def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)
"""

TOUR = """
assert deliver("a.yaml").queued == 1
finish("a")
mount("--bind", "/mnt/spool/outbox", "/mnt/spool/outbox")
mount("-o", "remount,bind,ro", "/mnt/spool/outbox")
for _ in range(2):
    assert publish() == "Read-only file system", publish()
assert not desk.store.get("a").published
subprocess.run(["umount", "/mnt/spool/outbox"], check=True)
assert publish() == 1
assert outbox() == ["a.json"]

assert deliver("b.yaml").queued == 1
finish("b")
ballast = Path("/mnt/ballast")
with ballast.open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
for _ in range(2):
    assert publish() == "No space left on device", publish()
assert outbox() == ["a.json"], "nothing half-written"
assert not desk.store.get("b").published
held = desk.take_in.round([])
assert "free" in held.held, held
ballast.unlink()
assert publish() == 1
assert outbox() == ["a.json", "b.json"]
assert deliver("c.yaml").queued == 1
"""


@pytest.mark.fault("the outbox is read-only")
@pytest.mark.fault("a disk is full")
def test_results_wait_for_an_outbox_that_can_be_written_and_nothing_is_claimed_on_a_full_disk(tmp_path):
    """In namespaces of its own, with a file system of 8 MiB at /mnt."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this host refuses user namespaces")
    script = tmp_path / "inside.py"
    script.write_text(PRELUDE.replace("STATE", str(tmp_path / "state")) + TOUR)
    ended = subprocess.run(
        [*unshare, "sh", "-ec", f"mount -t tmpfs -o size=8m none /mnt; exec {sys.executable} {script}"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
