"""Devices: what NVML sees, less what CUDA_VISIBLE_DEVICES hides; else the processor."""

import os
from collections import Counter

import pynvml
import pytest

from kbd.daemon import devices as devices_module
from kbd.daemon.devices import Card, Device, NoDevice, cpu_devices, cpu_name, cuda_devices, discover, visible
from kbd.daemon.executor.protocol import DeviceTarget

UUIDS = ["GPU-aaaa1111", "GPU-bbbb2222", "GPU-bbbb3333"]
DEVICES = [Device(uuid, "a card", DeviceTarget(kind="cuda", visible=uuid)) for uuid in UUIDS]
CARDS = [Card(device.key, (device,)) for device in DEVICES]


@pytest.fixture
def nvml(host):
    """A host with three cards."""
    for place, uuid in enumerate(UUIDS):
        host.gpu(uuid.encode() if place == 0 else uuid, name=f"card {place}", capability=(9 + place, 0))
    return host


@pytest.fixture
def mixed(host):
    """A card in MIG mode, one without, one in MIG mode that nobody has divided yet, one that knows no MIG."""
    host.gpu("GPU-1", mig_mode=1, instances=[host.instance("MIG-a"), None, host.instance("MIG-b"), None])
    host.gpu("GPU-2", mig_mode=0, instances=[None])
    host.gpu("GPU-3", mig_mode=1, instances=[None, None])
    host.gpu("GPU-4")
    return host


@pytest.fixture
def no_nvml(monkeypatch):
    def fail():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("1", [1]),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("GPU-aaaa1111", [0]),
        ("GPU-aaaa", [0]),
        ("GPU-bbbb3333,0", [2, 0]),
        ("-1", []),
        ("0,-1,1", [0]),
        ("0,7,1", [0]),
        ("7", []),
        ("GPU-cccc,0", []),
        ("0,nonsense,1", [0]),
        ("NoDevFiles", []),
    ],
)
def test_what_stays_visible(selection, left):
    assert visible(CARDS, selection) == [DEVICES[place] for place in left]


def test_cards_by_their_uuid(nvml):
    found = cuda_devices()
    assert [device.key for device in found] == UUIDS
    assert [device.name for device in found] == ["card 0", "card 1", "card 2"]
    assert [device.target.visible for device in found] == UUIDS
    assert [device.target.arch for device in found] == ["sm_90", "sm_100", "sm_110"]
    assert nvml.open == 0, "NVML is let go"


def test_a_card_in_mig_mode_is_its_instances(mixed):
    found = cuda_devices()
    assert [device.key for device in found] == ["MIG-a", "MIG-b", "GPU-2", "GPU-4"]
    assert [device.target.visible for device in found] == ["MIG-a", "MIG-b", "GPU-2", "GPU-4"]
    assert found[0].name == "NVIDIA Test MIG 1g.10gb"
    assert {device.target.arch for device in found} == {"sm_90"}, "as the card's"


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        ("MIG-b", ["MIG-b"]),
        ("MIG-b,1", ["MIG-b", "GPU-2"]),
        ("0", ["MIG-a", "MIG-b"]),
        ("GPU-1", ["MIG-a", "MIG-b"]),
        ("MIG-b,0", ["MIG-b", "MIG-a"]),
        ("2", []),
        ("2,3", ["GPU-4"]),
        ("MIG-c,3", []),
        ("1,1", ["GPU-2"]),
    ],
)
def test_instances_are_chosen_by_uuid_and_with_their_card(mixed, monkeypatch, selection, left):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", selection)
    assert [device.key for device in cuda_devices()] == left


def test_an_instance_without_a_name_of_its_own(mixed, monkeypatch):
    name = pynvml.nvmlDeviceGetName

    def only_of_cards(handle):
        if handle.card is not None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return name(handle)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", only_of_cards)
    assert cuda_devices()[0].name == "NVIDIA Test MIG"


def test_the_environment_hides_cards(nvml, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [device.key for device in cuda_devices()] == [UUIDS[1]]


def test_an_architecture_that_the_driver_does_not_tell(nvml, monkeypatch):
    def fail(_handle):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetCudaComputeCapability", fail)
    assert [device.target.arch for device in cuda_devices()] == [None, None, None]


def test_nvml_is_let_go_even_when_it_fails(nvml, monkeypatch):
    def fail(_handle):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", fail)
    with pytest.raises(pynvml.NVMLError):
        cuda_devices()
    assert nvml.open == 0


def test_no_driver_is_no_card(no_nvml):
    assert cuda_devices() == []


@pytest.mark.parametrize(("kind", "found"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_where_there_are_cards(nvml, kind, found):
    assert {device.target.kind for device in discover(kind, cpu_slots=1)} == {found}


def test_auto_without_cards_is_the_processor(no_nvml):
    assert [device.key for device in discover("auto", cpu_slots=2)] == ["cpu0", "cpu1"]


def test_asking_for_cards_where_there_are_none(no_nvml):
    with pytest.raises(NoDevice, match="--device cpu"):
        discover("cuda", cpu_slots=1)


def test_asking_for_the_processor_does_not_wake_the_driver(nvml, monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: pytest.fail("asked"))
    discover("cpu", cpu_slots=1)


@pytest.mark.parametrize(("slots", "threads"), [(1, 8), (2, 4), (3, 2), (8, 1), (16, 1)])
def test_slots_share_the_cores(monkeypatch, slots, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(3, 11)))
    found = cpu_devices(slots)
    assert len({device.key for device in found}) == slots
    assert {device.target.threads for device in found} == {threads}
    assert {len(device.target.cores) for device in found} == {threads}
    owners = Counter(core for device in found for core in device.target.cores)
    assert set(owners) <= set(range(3, 11))
    assert max(owners.values()) == -(-slots * threads // 8), "no core is shared before all are in use"


def test_the_processor_has_a_name():
    assert cpu_name().strip()


def test_the_processor_has_a_name_even_where_the_system_tells_none(monkeypatch, tmp_path):
    monkeypatch.setattr(devices_module, "Path", lambda _: tmp_path / "nothing")
    assert cpu_name()
