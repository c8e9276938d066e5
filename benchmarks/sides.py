"""Both sides of the benchmarks: a warm daemon, and one fresh interpreter per job."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kbd.inbox.spool import Spool

HERE = Path(__file__).parent
REFERENCE = """
version: 1
id: {name}
reference:
  kernel_type: torch
  source_code: |
    import torch
    def shifted_relu(x):
        return torch.relu(x) + 1
"""
JOB = (
    REFERENCE
    + """\
candidate:
  kernel_type: torch
  source_code: |
    import torch
    def shifted_relu(x):  # {name}
        return x.clamp_min(0) + 1
io: {{args: [{{name: x, type: tensor, tensor_spec: {{shape: [65536], dtype: float32}}}}]}}
evaluation: {{num_correct_trials: 5, num_trials: 100}}
"""
)
TRITON_JOB = (
    REFERENCE
    + """\
candidate:
  kernel_type: triton
  source_code: |
    import triton
    import triton.language as tl
    @triton.jit
    def shifted_relu(x_ptr, y_ptr, n, BLOCK: tl.constexpr):  # {name}
        offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + offsets, mask=offsets < n)
        tl.store(y_ptr + offsets, tl.maximum(x, 0) + 1, mask=offsets < n)
io:
  args:
    - {{name: x_ptr, type: tensor, tensor_spec: {{shape: [65536], dtype: float32}}}}
    - {{name: y_ptr, type: tensor, role: output, tensor_spec: {{shape: [65536], dtype: float32}}}}
    - {{name: n, type: int, value: 65536}}
    - {{name: BLOCK, type: int, value: 1024, is_meta: true}}
  launch: {{grid: "ceildiv(n, BLOCK)"}}
evaluation: {{num_correct_trials: 5, num_trials: 100}}
"""
)
JOBS = {"torch": JOB, "triton": TRITON_JOB}
START_LIMIT_S = 60
JOB_LIMIT_S = 60
SETTLE_S = 3


class WarmDaemon:
    """A daemon on a spool of its own; `warm_up`: it has judged a job already."""

    def __init__(self, folder, device, *, warm_up=True, **environment):
        self.spool = Spool.create(folder / "spool")
        self.state = folder / "state"
        command = [sys.executable, "-m", "kbd.daemon.cli.main", "run", "--spool", str(self.spool.root)]
        command += ["--state", str(self.state), "--device", device]
        self.output = folder / "daemon.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | environment
            )
        if warm_up:
            self.judge("warm-up")

    def judge(self, name, text=None, limit_s=JOB_LIMIT_S):
        """Seconds from the rename to the readable result, and the result."""
        hidden = self.spool.inbox / f".{name}.tmp"
        hidden.write_text(text or JOB.format(name=name))
        started = time.perf_counter()
        hidden.rename(self.spool.inbox / f"{name}.yaml")
        result = self.result(name, limit_s)
        return time.perf_counter() - started, result

    def drop(self, texts):
        """Jobs by name, all at once and in this order."""
        for name, text in texts.items():
            (self.spool.inbox / f".{name}.tmp").write_text(text)
        for name in texts:
            (self.spool.inbox / f".{name}.tmp").rename(self.spool.inbox / f"{name}.yaml")

    def result(self, name, limit_s=JOB_LIMIT_S):
        """The result of a job that was dropped, once it is there."""
        started = time.perf_counter()
        while time.perf_counter() - started < limit_s:
            try:
                return json.loads((self.spool.outbox / f"{name}.json").read_text())
            except FileNotFoundError:
                self.check_alive()
                time.sleep(0.001)
        raise TimeoutError(f"no result for {name} within {limit_s} s")

    def check_alive(self):
        """Raises RuntimeError with what the daemon said last, if it has ended."""
        if self.process.poll() is not None:
            said = self.output.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the daemon ended with status {self.process.returncode}: {said}")

    def settle(self):
        """Wait until the daemon has made its spares and does nothing any more."""
        time.sleep(SETTLE_S)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_LIMIT_S)


def fresh(folder, name, device, visible, job=JOB):
    """Seconds of a whole new process that evaluates the job; what Triton has compiled is not kept for the next."""
    path = folder / f"{name}.yaml"
    path.write_text(job.format(name=name))
    environment = os.environ | {"TRITON_CACHE_DIR": str(folder / f"triton-{name}")}
    environment |= {"CUDA_VISIBLE_DEVICES": visible} if visible else {}
    started = time.perf_counter()
    command = [sys.executable, str(HERE / "fresh_evaluation.py"), str(path), device, visible]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds = time.perf_counter() - started
    if found.returncode:
        raise RuntimeError(f"a fresh evaluation ended with status {found.returncode}: {found.stderr[-2000:]}")
    assert json.loads(found.stdout)["status"] == "passed", found.stdout
    return seconds
