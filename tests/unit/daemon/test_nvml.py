"""A GPU behind a MIG instance."""

import pytest

from kbd.daemon.nvml import card_of, text


@pytest.fixture
def gpu(host):
    host.nvmlInit()
    return host.gpu("GPU-1", mig_mode=1, instances=[host.instance("MIG-a")])


def test_the_card_of_an_instance(gpu):
    assert card_of(gpu.instances[0]) is gpu


def test_a_card_is_its_own(gpu, host):
    assert card_of(gpu) is gpu
    host.refuses = {"nvmlDeviceIsMigDeviceHandle"}
    assert card_of(gpu) is gpu


def test_texts():
    assert text(b"GPU-1") == text("GPU-1") == "GPU-1"
