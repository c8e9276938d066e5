"""The ladder with a CUDA device: a kernel works under every layer, and which layers those are is printed.

::

    python -m pytest tests/gpu/test_isolation_on_cuda.py -s
"""

import asyncio

import pytest

from kbd.daemon.devices import cuda_devices
from kbd.daemon.executor import kernel_calls
from kbd.daemon.executor.nursery_client import NurseryClient
from kbd.daemon.executor.sandbox import landlock
from kbd.daemon.executor.sandbox.host import probe_host
from kbd.daemon.executor.sandbox.isolation import IsolationSettings
from kbd.daemon.executor.sandbox.layers import Layer

pytestmark = pytest.mark.xdist_group("gpu")


@pytest.fixture(scope="module")
def isolation(tmp_path_factory):
    async def find():
        nursery = NurseryClient(folder / "nursery.log")
        await nursery.start()
        try:
            devices = [device.target for device in cuda_devices()]
            return await probe_host(nursery, devices, folder, IsolationSettings())
        finally:
            await nursery.stop()

    folder = tmp_path_factory.mktemp("isolation")
    kernel_calls.adopt_orphans()
    found = asyncio.run(find()).of("cuda")
    kernel_calls._prctl(kernel_calls.PR_SET_CHILD_SUBREAPER, 0)
    print(f"\n{found.level}: {found.report().model_dump_json(indent=2)}")
    return found


def test_no_layer_is_left_out_for_the_sake_of_cuda(isolation):
    """Whatever is missing was refused by the host; nothing was given up because CUDA does not work with it."""
    assert [line for line in isolation.missing if "breaks" in line or "in search of" in line] == []


def _kernel_has_landlock():
    try:
        return landlock.abi_of_kernel() > 0
    except OSError:
        return False


def test_landlock_is_in_force(isolation):
    if not _kernel_has_landlock():
        pytest.skip("this kernel has no Landlock")
    assert Layer.LANDLOCK in isolation.in_force, isolation.missing
