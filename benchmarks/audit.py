"""What the audit costs: full evaluations with it and without it, in one run, and where the lease of a device goes.

    python benchmarks/audit.py [--device cpu|cuda] [--pairs 4] [--jobs 8] [--samples 100] [--out FILE.json]

Warm daemons take turns, each judging so many jobs; the judge of every other one finds no turn due for an audit.
Nothing but this benchmark can bring that about: it puts a module before kbd's that replaces the question. The
clock runs from the rename to the readable result. `lease`: of the seconds for which a job had the device alone,
the shares that went into bursts, into new contents and a cold cache before them, into audits, and into getting
bursts ready.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from sides import JOB, WarmDaemon

NO_AUDIT = """
import importlib.abc
import importlib.util
import sys

AUDIT = "kbd.daemon.judge.audit"


class WithoutAudit(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != AUDIT:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            module.Auditor.is_due = lambda self, turn: False

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, WithoutAudit())
"""
SIDES = ("audited", "unaudited")
USES = ("bursts", "contents", "audits", "preparation")


def job(name, samples):
    return JOB.format(name=name).replace("num_trials: 100", f"num_trials: {samples}")


def measure(folder, options):
    patch = folder / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(NO_AUDIT)
    path = os.pathsep.join(filter(None, (str(patch), os.environ.get("PYTHONPATH"))))
    rows = []
    for pair in range(options.pairs):
        for side in SIDES if pair % 2 == 0 else SIDES[::-1]:
            changed = {"PYTHONPATH": path} if side == "unaudited" else {}
            place = folder / f"{side}-{pair}"
            place.mkdir()
            daemon = WarmDaemon(place, options.device, **changed)
            try:
                for number in range(options.jobs):
                    name = f"{side}-{pair}-{number}"
                    seconds, result = daemon.judge(name, job(name, options.samples))
                    rows.append(row(side, seconds, result))
            finally:
                daemon.stop()
    return rows, result


def row(side, seconds, result):
    assert result["status"] == "passed", result["error"] or result["suspect"]
    performance = result["workloads"][0]["performance"]
    compared = performance["audit"]["compared"]
    assert (compared > 0) is (side == "audited"), compared
    return {
        "side": side,
        "seconds": seconds,
        "samples": len(performance["candidate"]["as_called"]["samples_us"]),
        "audit": performance["audit"],
        "lease_s": performance["lease"],
    }


def report(rows, result, options):
    mine = {side: [row for row in rows if row["side"] == side] for side in SIDES}
    seconds = {side: statistics.median(row["seconds"] for row in mine[side]) for side in SIDES}
    leases = [row["lease_s"] for row in mine["audited"]]
    shares = {use: statistics.median(lease[use] / lease["held"] for lease in leases) for use in USES}
    return {
        "benchmark": "audit",
        "device": result["device"],
        "environment": result["environment"],
        "cores": os.cpu_count(),
        "samples": options.samples,
        "seconds": seconds,
        "ratio": seconds["audited"] / seconds["unaudited"],
        "lease_held_s": statistics.median(lease["held"] for lease in leases),
        "lease_shares": shares,
        "rows": rows,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows, result = measure(Path(name), options)
    found = report(rows, result, options)
    print(f"device     {found['device']['name']}")
    print(f"audited    {found['seconds']['audited']:.3f} s from drop to result")
    print(f"unaudited  {found['seconds']['unaudited']:.3f} s")
    print(f"ratio      {found['ratio']:.3f}")
    print(f"lease      {found['lease_held_s']:.3f} s for one job alone, of which")
    for use, share in found["lease_shares"].items():
        print(f"  {use:<12}{share:6.1%}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
