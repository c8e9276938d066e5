import os
import subprocess
import sys
import tempfile
import threading
from multiprocessing import shared_memory
from pathlib import Path

import torch


class ModelNew(torch.nn.Module):
    """What honest kernels do around their work: files, programs, threads, shared memory, a look at themselves."""

    def __init__(self):
        super().__init__()
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"notes")
        Path("cache").mkdir()
        Path("cache", "plan.json").write_text("{}")
        said = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True)
        assert said.stdout == "42\n"
        thread = threading.Thread(target=print, args=("threads work",))
        thread.start()
        thread.join()
        memory = shared_memory.SharedMemory(create=True, size=4096)
        memory.close()
        memory.unlink()
        assert f"Pid:\t{os.getpid()}" in Path("/proc/self/status").read_text()
        ballast = torch.ones(64 << 20, dtype=torch.uint8)
        assert int(ballast[-1]) == 1

    def forward(self, x):
        return x.clamp_min(0) + 2
