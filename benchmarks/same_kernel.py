"""A kernel against itself, and (on CUDA) against itself made 2 % slower: how often a difference is found.

    python benchmarks/same_kernel.py [--device cpu|cuda] [--jobs 100] [--pairs 1] [--kinds same slower]
        [--out FILE.json]

Each job is judged in so many pairs of processes of its own. Of the first kind at most 5 in 100 may be called
significant (the interval claims 95 %), of the second at least 95 in 100 must be. The spread of the ratios of the
first kind with one pair, less what each job's own samples explain, is the bias between processes that the judge
adds to the interval of one pair.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from sides import WarmDaemon

JOB = """
version: 1
id: {name}
reference:
  kernel_type: torch
  source_code: |
    import torch
    def relu(x):
        return torch.relu(x)
candidate:
  kernel_type: torch
  source_code: |
    import torch
    def relu(x):  # {name}
        EXTRA
        return torch.relu(x)
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [ELEMENTS], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 1, num_trials: 100, process_pairs: PAIRS}}
"""
LIMIT_S = 600  # since the job before it: all are dropped at once
SIZES = {"cuda": 1 << 25, "cpu": 1 << 20}
SLOWER_ELEMENTS = 1 << 16  # of a second launch, which takes 2 % of the first one's time (on an H100)
KINDS = {"same": "pass", "slower": f"torch.relu(x[:{SLOWER_ELEMENTS}])"}


def judged(daemon, kind, jobs, job):
    """What was found of one job after the other, with its whole result; all are dropped at once."""
    texts = {f"{kind}-{number}": job.format(name=f"{kind}-{number}") for number in range(jobs)}
    daemon.drop(texts)
    for name in texts:
        result = daemon.result(name, LIMIT_S)
        assert result["status"] == "passed", result["error"] or result["suspect"]
        performance = result["workloads"][0]["performance"]
        yield (
            {
                "speedup": result["speedup"],
                "interval": result["speedup_ci95"],
                "significant": result["significant"],
                "stop": performance["stop"],
                "pairs": performance["pairs"],
            },
            result,
        )


def summary(rows):
    ratios = sorted(row["speedup"] for row in rows)
    return {
        "jobs": len(rows),
        "significant": sum(row["significant"] for row in rows),
        "median": statistics.median(ratios),
        "spread": statistics.pstdev(ratios),
        "min": ratios[0],
        "max": ratios[-1],
    }


def said(kind, row):
    label = {"same": "against itself", "slower": "2 % slower"}[kind]
    return (
        f"{label:<15} {row['significant']} of {row['jobs']} significant; ratio {row['median']:.4f}, "
        f"standard deviation {row['spread']:.4f}, {row['min']:.4f} … {row['max']:.4f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    report = {"benchmark": "same_kernel"}
    with tempfile.TemporaryDirectory() as name:
        daemon = WarmDaemon(Path(name), options.device)
        try:
            for kind in options.kinds if options.device == "cuda" else ["same"]:
                job = JOB.replace("EXTRA", KINDS[kind]).replace("ELEMENTS", str(SIZES[options.device]))
                job = job.replace("PAIRS", str(options.pairs))
                report |= {"cores": os.cpu_count(), "pairs": options.pairs}
                rows = []
                for row, result in judged(daemon, kind, options.jobs, job):
                    rows.append(row)
                    report |= {key: result[key] for key in ("device", "environment")}
                    report[kind] = summary(rows) | {"rows": rows}
                    if options.out:  # as far as it has come, should it be ended
                        options.out.write_text(json.dumps(report, indent=2) + "\n")
                print(said(kind, report[kind]), flush=True)
        finally:
            daemon.stop()
    print(f"device          {report['device']['name']}")


if __name__ == "__main__":
    main()
