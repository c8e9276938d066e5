"""The rule of quiet: spares that are being made do not disturb a job that is being timed.

    python benchmarks/quiet.py [--device cpu|cuda] [--rounds 10] [--samples 1000] [--out FILE.json]

Three figures for one kernel, turn by turn in one run (ABC, CBA, …), each the judge's own median:

- idle: the job alone on an idle daemon;
- stream: the same job in the middle of a stream of short jobs, each of which uses up spares that are made anew. The
  daemon makes none while the job is timed. It must be within 0.5 % of idle.
- contrast: the same job while processes that are not the daemon's make contexts on the device (on the CPU: start an
  interpreter with torch) without pause. This is what the rule prevents.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from sides import WarmDaemon

TIMED = """
version: 1
reference:
  kernel_type: torch
  source_code: |
    import torch
    def gelu(x):
        return torch.nn.functional.gelu(x)
candidate:
  kernel_type: torch
  source_code: |
    import torch
    def gelu(x):  # {name}
        return torch.nn.functional.gelu(x)
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [{elements}], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 1, num_trials: {samples}}}
"""
SHORT = """
version: 1
candidate:
  kernel_type: torch
  source_code: |
    def twice(x):  # {name}
        return x + x
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [64], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 1, mode: correctness}}
"""
CONTEXT = {
    "cuda": "import torch; torch.cuda.init(); torch.zeros(1, device='cuda:0')",
    "cpu": "import torch; torch.zeros(1)",
}
SHORT_JOBS = 12  # before and behind the timed job: more than the spares that a device has
ELEMENTS = {"cuda": 1 << 24, "cpu": 1 << 20}
SIDES = ("idle", "stream", "contrast")


class Disturber:
    """Makes contexts on a device, one process after another, for the length of a block."""

    def __init__(self, device, visible, at_once=2):
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": visible} if visible else {})
        self._command = [sys.executable, "-c", CONTEXT[device]]
        self._environment = environment
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._disturb) for _ in range(at_once)]
        self.made = 0

    def _disturb(self):
        while not self._over.is_set():
            subprocess.run(self._command, env=self._environment, check=True)
            self.made += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()


class Bench:
    """A daemon and the three ways of having one job timed by it."""

    def __init__(self, folder, options):
        self.daemon = WarmDaemon(folder, options.device)
        self.options = options
        self.visible = ""
        self.contexts_made = 0

    def timed(self, name):
        return TIMED.format(name=name, samples=self.options.samples, elements=ELEMENTS[self.options.device])

    def idle(self, name):
        self.daemon.settle()
        return self.daemon.judge(name, self.timed(name))[1]

    def stream(self, name):
        before = [f"{name}-before-{number}" for number in range(SHORT_JOBS)]
        behind = [f"{name}-behind-{number}" for number in range(SHORT_JOBS)]
        texts = {each: SHORT.format(name=each) for each in (*before, *behind)} | {name: self.timed(name)}
        self.daemon.drop({each: texts[each] for each in (*before, name, *behind)})
        results = {each: self.daemon.result(each) for each in texts}
        assert {result["status"] for result in results.values()} == {"passed"}
        return results[name]

    def contrast(self, name):
        self.daemon.settle()
        with Disturber(self.options.device, self.visible) as disturber:
            result = self.daemon.judge(name, self.timed(name))[1]
        self.contexts_made += disturber.made
        return result


def median_us(result):
    assert result["status"] == "passed", result["error"]
    candidate = result["workloads"][0]["performance"]["candidate"]
    return (candidate["device"] or candidate["as_called"])["median"]


def worst_us(result):
    candidate = result["workloads"][0]["performance"]["candidate"]
    return (candidate["device"] or candidate["as_called"])["max"]


def interval95(ratios):
    """Bootstrap interval of the median ratio."""
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return [medians[50], medians[-51]]


def measure(folder, options):
    bench = Bench(folder, options)
    rows = []
    try:
        first = bench.idle("first")
        bench.visible = first["device"]["uuid"] or ""
        for number in range(options.rounds):
            order = SIDES if number % 2 == 0 else SIDES[::-1]
            results = {side: getattr(bench, side)(f"{side}-{number}") for side in order}
            rows.append(
                {side: {"median_us": median_us(r), "max_us": worst_us(r)} for side, r in results.items()}
            )
    finally:
        bench.daemon.stop()
    return report(rows, first, options, bench.contexts_made)


def report(rows, result, options, contexts_made):
    found = {
        "benchmark": "quiet",
        "device": result["device"],
        "environment": result["environment"],
        "cores": os.cpu_count(),
        "rounds": rows,
        "samples": options.samples,
        "contexts_made_in_contrast": contexts_made,
        "idle_us": statistics.median(row["idle"]["median_us"] for row in rows),
        # What one and the same thing differs by from one round to the next: no ratio can be surer than this.
        "idle_cv": coefficient_of_variation([row["idle"]["median_us"] for row in rows]),
    }
    for side in SIDES[1:]:
        ratios = [row[side]["median_us"] / row["idle"]["median_us"] for row in rows]
        worst = [row[side]["max_us"] / row["idle"]["max_us"] for row in rows]
        found[f"{side}_ratio"] = statistics.median(ratios)
        found[f"{side}_ratio_ci95"] = interval95(ratios)
        found[f"{side}_worst_sample_ratio"] = math.exp(statistics.median(map(math.log, worst)))
    return found


def coefficient_of_variation(values):
    return statistics.stdev(values) / statistics.mean(values) if len(values) > 1 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), options)
    print(f"device     {found['device']['name']}")
    print(f"idle       {found['idle_us']:.3f} us a launch, from round to round {found['idle_cv'] or 0:.2%}")
    for side in SIDES[1:]:
        low, high = found[f"{side}_ratio_ci95"]
        print(
            f"{side:<10} {found[f'{side}_ratio'] - 1:+.2%} ({low - 1:+.2%} … {high - 1:+.2%}), "
            f"worst sample x{found[f'{side}_worst_sample_ratio']:.2f}"
        )
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
