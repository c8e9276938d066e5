"""How a daemon bears many jobs, many in its history, and none at all.

    python benchmarks/load.py [burst] [folder] [owners] [idle] [history] [--out FILE.json]

burst    20,000 manifests are renamed into the inbox of a warm daemon: seconds until all are claimed, memory
folder   100,000 lie in the inbox when the daemon starts: the same
owners   one owner brings 20,000 jobs, then another one 5: when these five have their results
idle     what a daemon without jobs takes of one core, over 60 s
history  `kbd status` beside 1,000,000 jobs that are over

The device is kept busy by one long job where only claiming is measured. Parts that are not named keep the figures
that the file has.
"""

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
from sides import HERE, JOB, WarmDaemon

from kbd.daemon.devices import cpu_name
from kbd.inbox.mounts import filesystem_of
from kbd.inbox.spool import Spool
from kbd.store.engine import migrate, open_writer
from kbd.store.errors import StoreError
from kbd.store.location import database_path
from kbd.store.readers import JobReader
from kbd.store.sqlite_file import open_reader
from kbd.store.states import JobState

LONG_JOB = """
version: 1
priority: 100
timeout: 3600
candidate:
  kernel_type: torch
  source_code: |
    import time
    def slow(x):
        time.sleep(3600)
        return x
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}
"""
UNHURRIED = {"KBD_CORRECTNESS_S": "3600", "KBD_QUEUE_LIMIT": "1000000"}
BURST, FOLDER, MANY, FEW = 20_000, 100_000, 20_000, 5
HISTORY = 1_000_000
IDLE_S = 60.0
LIMIT_S = 600
LOOK_S = 0.2
STATUS_RUNS = 15
MIB = 1 << 20


def write_jobs(spool, prefix, number, owner=None):
    """Manifests under names that nobody claims yet."""
    folder = spool.inbox if owner is None else spool.inbox / owner
    folder.mkdir(exist_ok=True)
    names = [f"{prefix}-{place:06d}" for place in range(number)]
    for name in names:
        (folder / f".{name}.tmp").write_text(JOB.format(name=name))
    return folder, names


def hand_over(folder, names):
    """The renames, one after the other; Unix seconds of the first."""
    started = time.time()
    for name in names:
        os.rename(folder / f".{name}.tmp", folder / f"{name}.yaml")
    return started


def until_claimed(daemon, wanted):
    """Wait until the database has so many jobs; returns the daemon's greatest memory meanwhile, in bytes."""
    deadline, greatest, process = time.monotonic() + LIMIT_S, 0, psutil.Process(daemon.process.pid)
    while time.monotonic() < deadline:
        daemon.check_alive()
        greatest = max(greatest, process.memory_info().rss)
        try:
            with open_reader(daemon.state) as source:
                if sum(JobReader(source).counts().values()) >= wanted:
                    return greatest
        except StoreError:
            pass  # it is just being made
        time.sleep(LOOK_S)
    raise TimeoutError(f"not all of {wanted} jobs were claimed within {LIMIT_S} s")


def figures_of_claiming(daemon, names, started):
    """What came of it, from the database and the inbox."""
    greatest = until_claimed(daemon, len(names))
    with closing(sqlite3.connect(f"file:{database_path(daemon.state)}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT job_id, state, submitted_at FROM jobs").fetchall()
    states = Counter(state for job_id, state, _ in found if job_id in names)
    seconds = max(arrived for *_, arrived in found) - started
    return {
        "jobs": len(names),
        "claimed_s": seconds,
        "jobs_per_s": len(names) / seconds,
        "lost": len(names - {job_id for job_id, *_ in found}),
        "left_in_inbox": sum(1 for path in daemon.spool.inbox.rglob("*.yaml")),
        "rejected": states.get(JobState.REJECTED.value, 0),
        "daemon_cpu_s": cpu_s([psutil.Process(daemon.process.pid)]),
        "load_average": os.getloadavg()[0],
        "daemon_rss_mib": psutil.Process(daemon.process.pid).memory_info().rss / MIB,
        "daemon_peak_rss_mib": greatest / MIB,
    }


def burst(folder):
    daemon = WarmDaemon(folder, "cpu", **UNHURRIED)
    try:
        before = psutil.Process(daemon.process.pid).memory_info().rss
        daemon.drop({"long": LONG_JOB})
        inbox, names = write_jobs(daemon.spool, "burst", BURST)
        started = hand_over(inbox, names)
        renamed_s = time.time() - started
        found = figures_of_claiming(daemon, {*names, "long", "warm-up"}, started)
        return found | {"renamed_s": renamed_s, "daemon_rss_before_mib": before / MIB}
    finally:
        daemon.stop()


def folder_full(folder):
    spool = Spool.create(folder / "spool")
    inbox, names = write_jobs(spool, "lying", FOLDER)
    hand_over(inbox, names)
    (inbox / "long.yaml").write_text(LONG_JOB)
    started = time.time()
    daemon = WarmDaemon(folder, "cpu", warm_up=False, **UNHURRIED)
    try:
        return figures_of_claiming(daemon, {*names, "long"}, started)
    finally:
        daemon.stop()


def owners(folder):
    """The five come when the daemon is in the midst of the others."""
    daemon = WarmDaemon(folder, "cpu", **UNHURRIED)
    try:
        inbox, many = write_jobs(daemon.spool, "many", MANY, "many")
        hand_over(inbox, many)
        until_claimed(daemon, 1000)
        ended_before = sum(1 for _ in daemon.spool.outbox.glob("many-*.json"))
        inbox, few = write_jobs(daemon.spool, "few", FEW, "few")
        started = hand_over(inbox, few)
        ended_s = []
        for name in few:
            daemon.result(name, LIMIT_S)
            ended_s.append(time.time() - started)
        ended = sum(1 for _ in daemon.spool.outbox.glob("many-*.json"))
        with open_reader(daemon.state) as source:
            claimed = sum(JobReader(source).counts().values())
        return {
            "many": MANY,
            "few": FEW,
            "few_ended_s": ended_s,
            "of_many_ended_meanwhile": ended - ended_before,
            "claimed_when_few_had_ended": claimed,
        }
    finally:
        daemon.stop()


def idle(folder):
    daemon = WarmDaemon(folder, "cpu")
    try:
        daemon.settle()
        daemon.settle()
        own = psutil.Process(daemon.process.pid)
        children = own.children(recursive=True)
        before, at = cpu_s([own]), time.monotonic()
        others_before = cpu_s(children)
        time.sleep(IDLE_S)
        passed_s = time.monotonic() - at
        return {
            "seconds": passed_s,
            "daemon_percent": 100 * (cpu_s([own]) - before) / passed_s,
            "its_children_percent": 100 * (cpu_s(children) - others_before) / passed_s,
            "daemon_rss_mib": own.memory_info().rss / MIB,
        }
    finally:
        daemon.stop()


def cpu_s(processes):
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def history(folder):
    spool, state = Spool.create(folder / "spool"), folder / "state"
    fill(state)
    command = [sys.executable, "-m", "kbd.daemon.cli.main", "status", "--spool", str(spool.root)]
    command += ["--state", str(state)]
    asked = {"status": (), "of one owner": ("--owner", "owner-7"), "of a label": ("--label", "step=99")}
    asked["failed, of one owner"] = ("--job-state", "failed", "--owner", "owner-7")
    return {
        "jobs": HISTORY,
        "database_mib": database_path(state).stat().st_size / MIB,
        "status_s": {name: wall_times([*command, *options]) for name, options in asked.items()},
    }


def wall_times(command):
    taken_s = []
    for _ in range(STATUS_RUNS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken_s.append(time.perf_counter() - started)
    return {"first": taken_s[0], "median": statistics.median(taken_s), "worst": max(taken_s)}


def fill(state):
    """A million jobs as they look years later: nearly all are over, some wait."""
    engine = open_writer(state)
    migrate(engine)
    engine.dispose()
    with closing(sqlite3.connect(database_path(state), isolation_level=None)) as connection:
        for pragma in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -500000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        connection.execute(FILL_JOBS, {"jobs": HISTORY})
        for table, text in (("manifests", MANIFEST), ("results", RESULT)):
            connection.execute(f"INSERT INTO {table} SELECT sequence, ? FROM jobs", (text,))
        connection.execute(
            "INSERT INTO labels SELECT 'step', sequence % 10000 AS step, sequence FROM jobs ORDER BY step, sequence"
        )
        connection.execute(
            "INSERT INTO attempts SELECT sequence, 1, 'cpu0', 4711, 'profiling', started_at, finished_at, status "
            "FROM jobs WHERE finished_at IS NOT NULL"
        )
        connection.execute(
            "INSERT INTO tallies SELECT state, coalesce(status, ''), count(*) FROM jobs GROUP BY 1, 2"
        )
        connection.execute("COMMIT")


MANIFEST = json.dumps({"text": "x" * 200})
RESULT = json.dumps({"text": "y" * 400})
FILL_JOBS = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :jobs)
INSERT INTO jobs
SELECT n, 'job-' || n,
    CASE WHEN n > :jobs - 500 THEN 'submitted' WHEN n % 50 = 0 THEN 'failed' ELSE 'completed' END,
    CASE WHEN n > :jobs - 500 THEN NULL WHEN n % 50 = 0 THEN 'harness_error' WHEN n % 3 = 0 THEN 'passed'
        ELSE 'incorrect_output' END,
    NULL, NULL, 'owner-' || (n % 200), 0, '{"step": "' || (n % 10000) || '"}', printf('%064d', n),
    'done/20260101/job-' || n || '.yaml', 'cpu0', 1, 1.7e9 + n, 1.7e9 + n + 5,
    CASE WHEN n > :jobs - 500 THEN NULL ELSE 1.7e9 + n + 6 END, n <= :jobs - 500,
    CASE WHEN n % 3 = 0 AND n % 50 THEN 1.5 END, NULL
FROM numbers
"""


def machine(folder):
    """Where this was measured."""
    mount = filesystem_of(folder)
    return {
        "host": platform.node(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "memory_mib": psutil.virtual_memory().total // MIB,
        "kernel": platform.release(),
        "file_system": mount.fs_type,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


PARTS = {"burst": burst, "folder": folder_full, "owners": owners, "idle": idle, "history": history}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "load_cpu.json")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"expected some of {', '.join(PARTS)}, found {', '.join(sorted(unknown))}")
    found = json.loads(options.out.read_text()) if options.out.exists() else {"benchmark": "load"}
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            found |= {"machine": machine(Path(folder)), name: PARTS[name](Path(folder))}
        print(name, json.dumps(found[name], indent=2))
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
