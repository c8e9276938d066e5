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
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kbd.inbox.spool import Spool

HERE = Path(__file__).parent
JOB = """
version: 1
id: {name}
reference:
  kernel_type: torch
  source_code: |
    import torch
    def shifted_relu(x):
        return torch.relu(x) + 1
candidate:
  kernel_type: torch
  source_code: |
    import torch
    def shifted_relu(x):  # {name}
        return x.clamp_min(0) + 1
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [65536], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 5, num_trials: 100}}
"""
START_LIMIT_S = 60
JOB_LIMIT_S = 60


class WarmDaemon:
    """A daemon on a spool of its own."""

    def __init__(self, folder, device):
        self.spool = Spool.create(folder / "spool")
        self.state = folder / "state"
        command = [sys.executable, "-m", "kbd.daemon.cli.main", "run", "--spool", str(self.spool.root)]
        command += ["--state", str(self.state), "--device", device]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.judge("warm-up")

    def judge(self, name):
        """Seconds from the rename to the readable result, and the result."""
        hidden = self.spool.inbox / f".{name}.tmp"
        hidden.write_text(JOB.format(name=name))
        started = time.perf_counter()
        hidden.rename(self.spool.inbox / f"{name}.yaml")
        while time.perf_counter() - started < JOB_LIMIT_S:
            try:
                text = (self.spool.outbox / f"{name}.json").read_text()
            except FileNotFoundError:
                time.sleep(0.001)
                continue
            return time.perf_counter() - started, json.loads(text)
        raise TimeoutError(f"no result for {name} within {JOB_LIMIT_S} s")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_LIMIT_S)


def fresh(folder, name, device, visible):
    """Seconds of a whole new process that evaluates the job."""
    path = folder / f"{name}.yaml"
    path.write_text(JOB.format(name=name))
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": visible} if visible else {})
    started = time.perf_counter()
    command = [sys.executable, str(HERE / "fresh_evaluation.py"), str(path), device, visible]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    seconds = time.perf_counter() - started
    assert json.loads(found.stdout)["status"] == "passed", found.stdout
    return seconds


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
