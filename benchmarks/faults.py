"""What bad jobs cost the good ones: jobs of which a third crash, hang or flood, against the good ones alone.

    python benchmarks/faults.py [--device cpu|cuda] [--slots 2] [--jobs 200] [--timeout 2] [--out FILE.json]

One daemon, one run: half of the good jobs alone, then all jobs shuffled, then the other half alone. Each part is
dropped at once, and its clock stops with the last result, good or bad. Every job must end with its own verdict.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from sides import WarmDaemon

JOB = """
version: 1
timeout: {timeout}
reference:
  kernel_type: torch
  source_code: |
    import torch
    def shifted_relu(x):
        return torch.relu(x) + 1
candidate:
  kernel_type: torch
  source_code: |
    import ctypes, os, time, torch
    def shifted_relu(x):  # {name}
        {fault}
        return x.clamp_min(0) + 1
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [65536], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 5, num_trials: 100}}
"""
FAULTS = {
    "crash": "ctypes.string_at(0)",
    "hang": "while True: time.sleep(1)",
    "flood": "while True: os.write(1, b'x' * 65536)",
}
EXPECTED = {"good": "passed", "crash": "crashed", "hang": "timeout", "flood": "crashed"}
GOOD_TIMEOUT_S = 60
LIMIT_S = 1800


def kinds_of(jobs):
    """Two thirds good; the rest in equal parts of each fault, in an order that is the same every time."""
    bad = list(FAULTS) * (jobs // 9)
    kinds = bad + ["good"] * (jobs - len(bad))
    random.Random(0).shuffle(kinds)
    return kinds


def drop(daemon, prefix, kinds, timeout_s):
    """Seconds from the first rename to the last result, and the results by name."""
    names = {f"{prefix}-{number}-{kind}": kind for number, kind in enumerate(kinds)}
    for name, kind in names.items():
        limit = GOOD_TIMEOUT_S if kind == "good" else timeout_s
        text = JOB.format(name=name, fault=FAULTS.get(kind, "pass"), timeout=limit)
        (daemon.spool.inbox / f".{name}.tmp").write_text(text)
    started = time.perf_counter()
    for name in names:
        (daemon.spool.inbox / f".{name}.tmp").rename(daemon.spool.inbox / f"{name}.yaml")
    paths = {name: daemon.spool.outbox / f"{name}.json" for name in names}
    while not all(path.exists() for path in paths.values()):
        if time.perf_counter() - started > LIMIT_S:
            raise TimeoutError("not all results arrived")
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    results = {name: json.loads(path.read_text()) for name, path in paths.items()}
    for name, kind in names.items():
        assert results[name]["status"] == EXPECTED[kind], (
            name,
            results[name]["status"],
            results[name]["error"],
        )
    return seconds, results


def measure(folder, options):
    kinds = kinds_of(options.jobs)
    good = kinds.count("good")
    daemon = WarmDaemon(folder, options.device, KBD_CPU_SLOTS=str(options.slots))
    try:
        first_s, _ = drop(daemon, "before", ["good"] * (good // 2), options.timeout)
        mixed_s, results = drop(daemon, "mixed", kinds, options.timeout)
        last_s, _ = drop(daemon, "after", ["good"] * (good - good // 2), options.timeout)
    finally:
        daemon.stop()
    some = next(iter(results.values()))
    alone_rate, mixed_rate = 60 * good / (first_s + last_s), 60 * good / mixed_s
    return {
        "benchmark": "faults",
        "device": some["device"],
        "environment": some["environment"],
        "isolation": some["isolation"],
        "cores": os.cpu_count(),
        "slots": options.slots,
        "jobs": dict(Counter(kinds)),
        "timeout_of_bad_jobs_s": options.timeout,
        "alone_s": [first_s, last_s],
        "mixed_s": mixed_s,
        "good_jobs_per_minute_alone": alone_rate,
        "good_jobs_per_minute_among_bad": mixed_rate,
        "ratio": mixed_rate / alone_rate,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--slots", type=int, default=2, help="CPU devices (on the CPU alone)")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds that a bad job may take")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), options)
    print(f"device          {found['device']['name']}, {options.slots} slots")
    print(f"jobs            {found['jobs']}, all ended as they must")
    print(f"good alone      {found['good_jobs_per_minute_alone']:.1f} jobs/min")
    print(f"good among bad  {found['good_jobs_per_minute_among_bad']:.1f} jobs/min")
    print(f"ratio           {found['ratio']:.2f}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
