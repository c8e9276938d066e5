"""One host, several kinds of devices: each child gets the sandbox of its device, and no two the same."""

import asyncio

import pytest

from kbd.daemon.executor.protocol import DeviceTarget
from kbd.daemon.executor.sandbox import host
from kbd.daemon.executor.sandbox.host import HostIsolation, probe_host
from kbd.daemon.executor.sandbox.isolation import Isolation, IsolationSettings, IsolationTooWeak
from kbd.daemon.executor.sandbox.layers import Layer, Level

CPU = DeviceTarget(kind="cpu")
CUDA = DeviceTarget(kind="cuda", visible="GPU-1")
SETTINGS = IsolationSettings(uids=1000)
ON_CPU = Isolation(SETTINGS, layers=frozenset(Layer))
ON_CUDA = Isolation(SETTINGS, layers=frozenset(Layer) - {Layer.LANDLOCK}, cuda=True)


def test_a_sandbox_follows_its_device():
    both = HostIsolation({"cpu": ON_CPU, "cuda": ON_CUDA})
    assert both.sandbox_for(CPU).layers == ON_CPU.layers
    assert not both.sandbox_for(CPU).cuda
    assert both.sandbox_for(CUDA).layers == ON_CUDA.layers
    assert both.sandbox_for(CUDA).cuda


def test_a_child_without_a_device_gets_no_device_in_its_sandbox():
    sandbox = HostIsolation({"cuda": ON_CUDA}).sandbox_for(CPU)
    assert sandbox.layers == ON_CUDA.layers
    assert not sandbox.cuda


def test_no_two_children_share_a_uid_whatever_their_devices():
    both = HostIsolation({"cpu": ON_CPU, "cuda": ON_CUDA})
    uids = [both.sandbox_for(device).uid for _ in range(100) for device in (CPU, CUDA)]
    assert len(set(uids)) == len(uids)


def test_one_device_of_each_kind_is_probed(monkeypatch):
    async def probe(nursery, device, folder, settings):
        probed.append(device)
        return Isolation(settings)

    probed = []
    monkeypatch.setattr(host, "probe", probe)
    other = DeviceTarget(kind="cuda", visible="GPU-2")
    found = asyncio.run(probe_host(None, [CUDA, other, CPU], None, SETTINGS))
    assert sorted(probed, key=lambda device: device.kind) == [CPU, CUDA]
    assert set(found.found) == {"cpu", "cuda"}


def test_too_little_on_one_kind_of_device_is_too_little(monkeypatch):
    async def probe(nursery, device, folder, settings):
        return Isolation(settings, layers=frozenset(Layer) if device.kind == "cpu" else frozenset())

    monkeypatch.setattr(host, "probe", probe)
    with pytest.raises(IsolationTooWeak):
        asyncio.run(probe_host(None, [CPU, CUDA], None, IsolationSettings(minimum=Level.PROCESS)))
