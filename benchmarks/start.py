"""How long a command takes from its start to its end: `kbd --help`, `kbd status`, and a Python that does nothing.

    python benchmarks/start.py [--rounds 20] [--out FILE.json]

The commands take turns, so that what disturbs the host disturbs all of them. The status is that of a spool with a
hundred jobs and no daemon; once it goes to a pipe, once to a terminal, in colours. Python may keep its bytecode, as
it does wherever kbd is installed.
"""

import argparse
import json
import os
import platform
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kbd.inbox.spool import Spool
from kbd.store.engine import migrate, open_writer
from kbd.store.jobs import JobStore
from kbd.store.new_job import NewJob

JOBS = 100
KBD = str(Path(sys.executable).with_name("kbd"))
COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], "pipe"),
    "kbd --help": ([KBD, "--help"], "pipe"),
    "kbd status": ([KBD, "status"], "pipe"),
    "kbd status, on a terminal": ([KBD, "status"], "terminal"),
}


def environment(folder):
    spool, state = Spool.create(folder / "spool"), folder / "state"
    state.mkdir()
    engine = open_writer(state)
    migrate(engine)
    jobs = [
        NewJob(
            job_id=f"job-{number}",
            manifest_sha256="a" * 64,
            manifest_text="{}",
            claimed_path="claimed/000001/x",
        )
        for number in range(JOBS)
    ]
    JobStore(engine).add(jobs)
    engine.dispose()
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    folders = {
        "KBD_SPOOL": spool.root,
        "KBD_STATE": state,
        "XDG_CONFIG_HOME": folder,
        "PYTHONPYCACHEPREFIX": folder,
    }
    return kept | {name: str(path) for name, path in folders.items()} | {"TERM": "xterm-256color"}


def seconds_of(command, kind, environment):
    """From the start to the end of what is printed, which is read as it comes."""
    ours, theirs = pty.openpty() if kind == "terminal" else os.pipe()
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=theirs, env=environment)
    os.close(theirs)
    printed = read_all(ours)
    assert process.wait() == 0, command
    took = time.perf_counter() - begun
    assert bool(printed) == ("-c" not in command)
    return took


def read_all(descriptor):
    chunks = []
    try:
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
    except OSError:  # how a terminal ends
        pass
    os.close(descriptor)
    return b"".join(chunks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    taken = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as name:
        surroundings = environment(Path(name))
        for turn in range(options.rounds + 1):
            for name, (command, kind) in COMMANDS.items():
                seconds = seconds_of(command, kind, surroundings)
                if turn:  # the first one compiles the bytecode
                    taken[name].append(seconds)
    found = {
        "benchmark": "start",
        "environment": {"python": platform.python_version()},
        "host": {"machine": platform.machine(), "cores": os.cpu_count()},
        "rounds": options.rounds,
        "median_s": {name: round(statistics.median(times), 4) for name, times in taken.items()},
        "best_s": {name: round(min(times), 4) for name, times in taken.items()},
    }
    for name, median in found["median_s"].items():
        print(f"{name:<27}median {median:.3f} s   best {found['best_s'][name]:.3f} s")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
