"""The environment in which the nursery starts: nothing of the user's that could change a measurement.

Thread pools stay at one thread and no device is visible, because both would be lost or poisoned by a fork.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

KEPT = (
    "PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "CXX",
    "CC",
    "CUDA_HOME",
    "CUDA_PATH",
    "HOME",
)
FIXED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}


def nursery_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the daemon's environment the nursery gets; search paths made absolute."""
    kept = {name: environment[name] for name in KEPT if name in environment}
    if paths := kept.get("PYTHONPATH"):
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, filter(None, paths.split(os.pathsep))))
    return kept | FIXED
