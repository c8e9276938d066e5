"""A module that builds an extension: a fresh process with plain load_inline, a warm daemon, and the daemon again.

    python benchmarks/build.py [--device cpu|cuda] [--rounds 1] [--out FILE.json]

Side A is a new interpreter that imports the module, with an empty TORCH_EXTENSIONS_DIR; its clock stops when the
extension is loaded. Side B is the job in a warm daemon, from the rename to the readable result, which also judges
it. Each round has a module of its own (new text, so nothing is cached); then the daemon judges the same module once
more. On the CPU the extension is C++ alone.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sides import WarmDaemon

LIMIT_S = 1500
CPP = """
torch::Tensor shifted_relu(torch::Tensor x) {  // NAME
    return x.clamp_min(0) + 1;
}
"""
CUDA = """
#include <c10/cuda/CUDAStream.h>
__global__ void shifted_relu_kernel(const float* x, float* y, int64_t n) {  // NAME
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] = (x[i] > 0 ? x[i] : 0) + 1;
}
torch::Tensor shifted_relu(torch::Tensor x) {
    auto y = torch::empty_like(x);
    int64_t n = x.numel();
    shifted_relu_kernel<<<(n + 255) / 256, 256, 0, c10::cuda::getCurrentCUDAStream()>>>(
        x.data_ptr<float>(), y.data_ptr<float>(), n);
    return y;
}
"""
MODULE = '''
import torch
from torch.utils.cpp_extension import load_inline

source = r"""SOURCE"""
extension = load_inline(name="shifted_relu", ARGUMENTS, functions=["shifted_relu"])


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return extension.shifted_relu(x)
'''
ARGUMENTS = {
    "cpu": "cpp_sources=source",
    "cuda": 'cpp_sources="torch::Tensor shifted_relu(torch::Tensor x);", cuda_sources=source',
}
REFERENCE = "import torch\n\n\ndef shifted_relu(x):\n    return torch.relu(x) + 1\n"
IO = {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [65536], "dtype": "float32"}}]}


def module_of(name, device):
    source = (CUDA if device == "cuda" else CPP).replace("NAME", name)
    return MODULE.replace("SOURCE", source).replace("ARGUMENTS", ARGUMENTS[device])


def job_of(module):
    return json.dumps(
        {
            "version": 1,
            "reference": {"kernel_type": "torch", "source_code": REFERENCE},
            "candidate": {"kernel_type": "torch_cuda", "source_code": module},
            "io": IO,
            "timeout": LIMIT_S,
        }
    )


def plain_s(folder, name, module):
    """Seconds of a new interpreter that imports the module."""
    path = folder / f"plain_{name}.py"
    path.write_text(module)
    environment = os.environ | {"TORCH_EXTENSIONS_DIR": str(folder / f"extensions-{name}")}
    started = time.perf_counter()
    subprocess.run([sys.executable, str(path)], check=True, env=environment, timeout=LIMIT_S)
    return time.perf_counter() - started


def measure(folder, device, rounds):
    daemon = WarmDaemon(folder, device, KBD_COMPILE_S=str(LIMIT_S))
    rows = []
    try:
        for number in range(rounds):
            name = f"round-{number}"
            module = module_of(name, device)
            row = {"plain_s": plain_s(folder, name, module)}
            for side, job in (("cold", name), ("again", f"{name}-again")):
                row[f"{side}_s"], result = daemon.judge(job, job_of(module), LIMIT_S)
                assert result["status"] == "passed", result["error"]
                row[f"{side}_stages_s"] = result["timings_s"]
            rows.append(row)
    finally:
        daemon.stop()
    return rows, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows, result = measure(Path(name), options.device, options.rounds)
    found = {
        "benchmark": "build",
        "device": result["device"],
        "environment": result["environment"],
        "host": {"machine": platform.machine(), "cores": os.cpu_count()},
        "rounds": rows,
        "ratio": statistics.median(row["cold_s"] / row["plain_s"] for row in rows),
        "again_s": statistics.median(row["again_s"] for row in rows),
        "again_ready_s": statistics.median(
            row["again_stages_s"]["compile"] + row["again_stages_s"]["load"] for row in rows
        ),
    }
    print(f"device             {found['device']['name']}")
    print(f"plain load_inline  {statistics.median(row['plain_s'] for row in rows):.1f} s")
    print(f"daemon, cold       {statistics.median(row['cold_s'] for row in rows):.1f} s, judged as well")
    print(f"ratio              {found['ratio']:.3f}")
    print(f"daemon, again      {found['again_s']:.3f} s, of which until ready {found['again_ready_s']:.3f} s")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
