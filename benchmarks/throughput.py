"""Jobs per minute: many distinct jobs through a warm daemon, against one fresh process per job, in one run.

    python benchmarks/throughput.py [--device cpu|cuda] [--kernel torch|triton] [--jobs 100] [--fresh 10]
        [--out FILE.json]

All jobs are dropped at once; the clock stops with the last result. The fresh side judges so many of the same
jobs, one process after another, half of them before the daemon's turn and half after it. `busy`: seconds of the
stages of all jobs together, to be held against the daemon's time; above it, stages of several jobs overlap.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from sides import JOB_LIMIT_S, JOBS, WarmDaemon, fresh

STAGES = ("compile", "load", "correctness", "timing")


def drop_all(daemon, names, job):
    """Seconds from the first rename to the last readable result, and the results."""
    for name in names:
        (daemon.spool.inbox / f".{name}.tmp").write_text(job.format(name=name))
    started = time.perf_counter()
    for name in names:
        (daemon.spool.inbox / f".{name}.tmp").rename(daemon.spool.inbox / f"{name}.yaml")
    paths = [daemon.spool.outbox / f"{name}.json" for name in names]
    while not all(path.exists() for path in paths):
        if time.perf_counter() - started > JOB_LIMIT_S * len(names):
            raise TimeoutError("not all results arrived")
        time.sleep(0.01)
    return time.perf_counter() - started, [json.loads(path.read_text()) for path in paths]


def measure(folder, device, job, jobs, fresh_jobs):
    daemon = WarmDaemon(folder, device)
    try:
        _, result = daemon.judge("first", job.format(name="first"))
        visible = result["device"]["uuid"] or ""
        fresh(folder, "first-fresh", device, visible, job)
        before = [fresh(folder, f"fresh-{number}", device, visible, job) for number in range(fresh_jobs // 2)]
        seconds, results = drop_all(daemon, [f"job-{number}" for number in range(jobs)], job)
        after = [
            fresh(folder, f"late-{number}", device, visible, job)
            for number in range(fresh_jobs - len(before))
        ]
    finally:
        daemon.stop()
    return seconds, results, before + after


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--kernel", choices=list(JOBS), default="torch")
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--fresh", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        seconds, results, fresh_s = measure(
            Path(name), options.device, JOBS[options.kernel], options.jobs, options.fresh
        )
    assert {result["status"] for result in results} == {"passed"}
    daemon_rate, fresh_rate = 60 * options.jobs / seconds, 60 / statistics.mean(fresh_s)
    stages = {
        stage: statistics.mean(result["timings_s"][stage] or 0.0 for result in results)
        for stage in (*STAGES, "total")
    }
    found = {
        "benchmark": "throughput",
        "device": results[0]["device"],
        "environment": results[0]["environment"],
        "cores": os.cpu_count(),
        "kernel": options.kernel,
        "jobs": options.jobs,
        "daemon_s": seconds,
        "daemon_jobs_per_minute": daemon_rate,
        "fresh_process_s": fresh_s,
        "fresh_jobs_per_minute": fresh_rate,
        "ratio": daemon_rate / fresh_rate,
        "daemon_stages_mean_s": stages,
        "compiling_s": stages["compile"] * options.jobs,
        "busy_s": sum(stages[stage] for stage in STAGES) * options.jobs,
    }
    print(f"device          {found['device']['name']}")
    print(f"daemon          {daemon_rate:.1f} jobs/min ({options.jobs} jobs in {seconds:.1f} s)")
    print(f"fresh process   {fresh_rate:.1f} jobs/min ({options.fresh} jobs)")
    print(f"ratio           {found['ratio']:.1f}x")
    for stage, mean in stages.items():
        print(f"  {stage:<13} {mean:.3f} s a job")
    print(f"busy            {found['busy_s']:.1f} s, {found['compiling_s']:.1f} s of them with compiling")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
