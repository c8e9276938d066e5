import atexit
import contextlib
import os
import sys
from pathlib import Path

import torch

MARK = "kbd-planted-by-a-sample"


def places():
    """Caches, packages, the harness itself, shared and temporary folders, a home."""
    import kbd.daemon.runner.main as harness

    yield from (Path(harness.__file__).parent, Path(torch.__file__).parent, Path(sys.prefix))
    yield from (Path("/tmp"), Path("/dev/shm"), Path("/var/tmp"), Path.home(), Path.cwd(), Path("/"), Path("/root"))
    for name in ("TRITON_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME", "CUDA_CACHE_PATH"):
        folder = Path(os.environ.get(name, "/nowhere"))
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        yield folder


def plant():
    for place in places():
        with contextlib.suppress(OSError):
            (place / MARK).write_text("poison")


class ModelNew(torch.nn.Module):
    """Plants files wherever it can, also at its end; looks for what the same kernel planted in another job."""

    def __init__(self):
        super().__init__()
        for place in places():
            if (place / MARK).exists():
                print("STOLEN: another job left", place / MARK)
        plant()
        for place in list(places())[:3]:
            if (place / MARK).exists():
                print("STOLEN: the system can be written at", place)
        atexit.register(plant)
        print("tried everything")

    def forward(self, x):
        return x.clamp_min(0) + 1
