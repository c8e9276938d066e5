"""The judge's figure against four other ways to time the same kernels on the same device, in one run.

    python benchmarks/timing.py --device cuda [--repeats 10] [--processes 5] [--out FILE.json]

A daemon judges each kernel `repeats` times, each time in several new processes, of which the one in the middle
counts; how single processes scatter stands beside it. Then a process of the benchmark measures the same code
over as many input sets, which lie at the same distances: with CUPTI (torch.profiler), with a captured graph
between two events, with one pair of events per launch, and with triton's do_bench. CUPTI is the yardstick, in a
captured graph: how long a launch's kernel takes, or of several kernels from one launch to the next, with gaps.
It slows down what it watches, and what comes after it in the same process. So it comes last, and `slope` stands
beside it: two graphs of different lengths between events, nobody watching, and their difference divided by that
of their launches.

What lies between two kernels of a graph depends on what the process did before and on who had the device last:
for most kernels of a process some 0.3 microseconds, and nothing once another process has used the device. The
judge flushes the cache before every turn, and is another process. So a neighbour does the same before each
`slope` and each record of CUPTI's; `slope_alone` is without it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from sides import WarmDaemon

CASES = {
    "relu 64 Ki": ("torch.relu(x)", [65_536]),
    "relu 2 Mi": ("torch.relu(x)", [2, 1 << 20]),
    "relu 16 Mi": ("torch.relu(x)", [16, 1 << 20]),
    "softmax 1024 x 1024": ("torch.softmax(x, dim=-1)", [1024, 1024]),
    "softmax 8192 x 4096": ("torch.softmax(x, dim=-1)", [8192, 4096]),
    "sum 4096 x 4096": ("x.sum(dim=-1)", [4096, 4096]),
    "matmul 1024": ("x @ x", [1024, 1024]),
    "matmul 4096": ("x @ x", [4096, 4096]),
    "shifted relu 64 Ki": ("torch.relu(x) + 1", [65_536]),
}
JOB = """
version: 1
id: {name}
candidate:
  kernel_type: torch
  source_code: |
    import torch
    def kernel(x):  # {name}
        return {code}
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: {shape}, dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 1, num_trials: 100, timing: device, process_pairs: {processes}}}
"""


def judged(daemon, case, repeats, processes):
    """The judge's medians, one for each job, and those of all its processes; all jobs are dropped at once."""
    code, shape = CASES[case]
    found, single, sets = [], [], []
    names = [f"{case.replace(' ', '-')}-{number}" for number in range(repeats)]
    daemon.drop({name: JOB.format(name=name, code=code, shape=shape, processes=processes) for name in names})
    for name in names:
        result = daemon.result(name)
        assert result["status"] == "passed", result["error"] or result["suspect"]
        performance = result["workloads"][0]["performance"]
        assert performance["method"] == "graph", performance["method_reason"]
        found.append(performance["candidate"]["device"]["median"])
        single += performance["processes_us"] or found[-1:]
        sets.append(performance["input_sets"])
    row = {"case": case, "code": code, "shape": shape, "sets": max(sets)}
    return row | {"judge": found, "processes": single}, result


NEIGHBOUR = """
import sys, torch

caches = 2 * torch.cuda.get_device_properties(0).L2_cache_size
room = torch.empty(caches, dtype=torch.uint8, device="cuda")
for line in sys.stdin:
    room.zero_()
    torch.cuda.synchronize()
    print("flushed", flush=True)
"""
OTHERS = r"""
import json, statistics, subprocess, sys
import torch
from torch.profiler import ProfilerActivity, profile
import triton.testing

from kbd.daemon.judge.canaries import GUARD_BYTES

PROFILES = 5
neighbour = subprocess.Popen(
    [sys.executable, "-c", sys.argv[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
)


def flush_next_door():
    neighbour.stdin.write("\n")
    assert neighbour.stdout.readline() == "flushed\n"


def nobody():
    pass


def prepare(code, shape, judges_sets):
    global kernel, sets, xs, launches
    kernel, sets = eval("lambda x: " + code), judges_sets
    elements, guard = torch.Size(shape).numel(), GUARD_BYTES // 4
    room = torch.randn(sets, elements + 2 * guard, device="cuda")
    xs = [row[guard : guard + elements].view(shape) for row in room]
    for x in xs[:3]:
        kernel(x)
    torch.cuda.synchronize()
    launches = max(sets, 20)


def captured(numbers):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [kernel(xs[number % sets]) for number in numbers]
    return graph, kept


def replayed_us(graph):
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    graph.replay()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) * 1e3


def graph_us():
    graph, kept = captured(range(launches))
    return statistics.median([replayed_us(graph) / launches for _ in range(12)][2:])


def slope_us(before):
    fewer = launches // 5
    short, kept = captured(range(fewer))
    long, kept_too = captured(range(fewer, launches))
    empty, scratch = torch.cuda.CUDAGraph(), torch.zeros(1, device="cuda")
    with torch.cuda.graph(empty):
        scratch.zero_()
    found = []
    for _ in range(42):
        before()
        _, _, few_us, all_us = [replayed_us(graph) for graph in (empty, empty, short, long)]
        found.append((all_us - few_us) / (launches - 2 * fewer))
    return statistics.median(found[2:])


def events_us():
    found = []
    for number in range(100):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        kernel(xs[number % sets])
        last.record()
        last.synchronize()
        found.append(first.elapsed_time(last) * 1e3)
    return statistics.median(found)


def cupti_us():
    # Inside a graph, so that kernels follow each other as they do where the judge times them.
    graph, kept = captured(range(launches))
    graph.replay()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        flush_next_door()
        graph.replay()
        torch.cuda.synchronize()
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in seen.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and "sync" not in event.name.lower()
    )
    kernels = len(spans) // launches
    firsts = range(0, len(spans), kernels)
    alone = statistics.median(sum(end - start for start, end in spans[at : at + kernels]) for at in firsts)
    starts = [spans[at][0] for at in firsts]
    period = statistics.median(later - earlier for earlier, later in zip(starts, starts[1:]))
    return {"kernels": kernels, "kernel": alone, "period": period}


def cupti():
    several = [cupti_us() for _ in range(PROFILES)]
    middle = {name: statistics.median(one[name] for one in several) for name in several[0]}
    return middle | {"profiles": several}


def do_bench_us():
    return 1e3 * triton.testing.do_bench(lambda: kernel(xs[0]), warmup=10, rep=50, return_mode="median")


cases, found = json.loads(sys.argv[1]), []
for case in cases:
    prepare(*case)
    figures = {"do_bench": do_bench_us(), "graph_events": graph_us(), "event_pairs": events_us()}
    found.append(figures | {"slope_alone": slope_us(nobody), "slope": slope_us(flush_next_door)})
for case, figures in zip(cases, found):
    prepare(*case)
    figures["cupti"] = cupti()
neighbour.stdin.close()
print(json.dumps(found))
"""


def others(rows, visible):
    """What the other ways make of the same kernels, all in one process."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": visible}
    command = [
        sys.executable,
        "-c",
        OTHERS,
        json.dumps([[row[key] for key in ("code", "shape", "sets")] for row in rows]),
        NEIGHBOUR,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode:
        raise RuntimeError(ended.stderr[-2000:])
    return json.loads(ended.stdout.splitlines()[-1])


def measure(folder, device, repeats, processes, cases):
    rows = []
    daemon = WarmDaemon(folder, device)
    try:
        for case in cases:
            row, result = judged(daemon, case, repeats, processes)
            rows.append(row)
    finally:
        daemon.stop()
    for row, found in zip(rows, others(rows, result["device"]["uuid"]), strict=True):
        row |= found
    return rows, result


def shown(row):
    judge = statistics.median(row["judge"])
    spread = statistics.pstdev(row["judge"]) / judge
    seen = row["cupti"]
    yardstick = seen["kernel"] if seen["kernels"] == 1 else seen["period"]
    single = statistics.pstdev(row["processes"]) / statistics.median(row["processes"])
    row |= {"judge_us": judge, "cv": spread, "cv_of_single_processes": single}
    row |= {"off_cupti": judge / yardstick - 1, "off_slope": judge / row["slope"] - 1}
    ways = ("slope", "slope_alone", "graph_events", "event_pairs", "do_bench")
    times = (judge, yardstick, *(row[name] for name in ways))
    shares = (row["off_cupti"], row["off_slope"])
    return "".join(
        [
            f"{row['case']:<20}",
            *(f" {time:9.3f}" for time in times),
            *(f" {100 * share:+6.2f} %" for share in shares),
            *(f" {100 * share:6.2f} %" for share in (spread, single)),
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda"], default="cuda")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows, result = measure(Path(name), options.device, options.repeats, options.processes, options.cases)
    print(f"device: {result['device']['name']}; microseconds per launch")
    print(
        " " * 20
        + "".join(
            f" {word:>9}" for word in ("judge", "CUPTI", "slope", "alone", "in graph", "by pairs", "do_bench")
        )
        + "".join(f" {word:>8}" for word in ("to CUPTI", "to slope", "cv", "single"))
    )
    for row in rows:
        print(shown(row))
    if options.out:
        report = {
            "benchmark": "timing",
            "device": result["device"],
            "environment": result["environment"],
            "rows": rows,
        }
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
