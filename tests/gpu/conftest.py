"""These tests need a CUDA device; without one they are skipped, and say so."""

import pytest

from kbd.daemon.devices import cuda_devices


def pytest_collection_modifyitems(items):
    here = [item for item in items if "tests/gpu" in str(item.path)]
    missing = None if cuda_devices() else pytest.mark.skip(reason="no CUDA device: NVML finds none")
    for item in here:
        item.add_marker(pytest.mark.gpu)
        if missing is not None:
            item.add_marker(missing)
