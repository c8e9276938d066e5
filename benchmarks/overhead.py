"""Drop → result against a fresh interpreter that does the same evaluation, pair by pair, in one run.

    python benchmarks/overhead.py [--device cpu|cuda] [--pairs 8] [--out FILE.json]

Side A is a warm daemon: a file is renamed into its inbox, and the clock stops when the result can be opened in
the outbox. Side B is `benchmarks/fresh_evaluation.py` in a new interpreter. Each pair judges a candidate of its
own (new text, so nothing is cached), A and B take turns in going first.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from pathlib import Path

from sides import WarmDaemon, fresh


def run_pairs(daemon, folder, device, pairs):
    rows = []
    _, result = daemon.judge("first")
    visible = result["device"]["uuid"] or ""
    fresh(folder, "first-fresh", device, visible)
    for pair in range(pairs):
        measured = {}
        for side in ("daemon", "fresh") if pair % 2 == 0 else ("fresh", "daemon"):
            if side == "daemon":
                measured["daemon_s"], result = daemon.judge(f"pair-{pair}")
                assert result["status"] == "passed", result["error"]
                measured["stages_s"] = result["timings_s"]
            else:
                measured["fresh_s"] = fresh(folder, f"fresh-{pair}", device, visible)
        rows.append(measured)
    return rows, result


def report(rows, result, device):
    ratios = [row["daemon_s"] / row["fresh_s"] for row in rows]
    stages = {
        name: statistics.median(row["stages_s"][name] for row in rows)
        for name in ("queued", "load", "correctness", "timing", "total")
    }
    return {
        "benchmark": "overhead",
        "device": result["device"],
        "environment": result["environment"],
        "host": {"machine": platform.machine(), "cores": os.cpu_count()},
        "pairs": rows,
        "daemon_s": statistics.median(row["daemon_s"] for row in rows),
        "fresh_s": statistics.median(row["fresh_s"] for row in rows),
        "ratio": statistics.median(ratios),
        "ratio_min_max": [min(ratios), max(ratios)],
        "daemon_stages_s": stages,
        "requested_device": device,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        daemon = WarmDaemon(folder, options.device)
        try:
            rows, result = run_pairs(daemon, folder, options.device, options.pairs)
        finally:
            daemon.stop()
    found = report(rows, result, options.device)
    low, high = found["ratio_min_max"]
    print(f"device           {found['device']['name']}")
    print(f"daemon           {found['daemon_s']:.3f} s from drop to result (median of {options.pairs})")
    print(f"fresh process    {found['fresh_s']:.3f} s")
    print(f"ratio            {found['ratio']:.3f}  ({low:.3f} … {high:.3f})")
    for stage, seconds in found["daemon_stages_s"].items():
        print(f"  {stage:<14} {seconds:.3f} s")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
