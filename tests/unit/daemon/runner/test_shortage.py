"""Errors that mean a shortage of memory, real ones where this machine can make them."""

import numpy as np
import pytest
import torch

from kbd.daemon.runner.shortage import is_shortage, shortage_of

GIB = 1 << 30
ON_DEVICE = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 60.50 GiB "
    "is free. 8.00 GiB allowed; Of the allocated memory 1.00 GiB is allocated by PyTorch, and 4.00 MiB is reserved "
    "by PyTorch but unallocated."
)


def raised(act):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, is looked at
        act()
    return caught.value


def test_torch_on_the_cpu():
    error = raised(lambda: torch.empty(1 << 50, dtype=torch.uint8))
    assert is_shortage(error)
    assert shortage_of(error).where == "host"
    assert shortage_of(error).needed_bytes == 1 << 50


def test_numpy():
    error = raised(lambda: np.ones(1 << 57, dtype=np.uint8))
    assert is_shortage(error)
    assert shortage_of(error).needed_bytes == 1 << 57


def test_python():
    error = raised(lambda: bytearray(1 << 60))
    assert is_shortage(error)
    assert shortage_of(error).needed_bytes is None


def test_a_device():
    found = shortage_of(torch.cuda.OutOfMemoryError(ON_DEVICE))
    assert found.where == "device"
    assert (found.needed_bytes, found.free_bytes, found.limit_bytes) == (20 * GIB, int(60.5 * GIB), 8 * GIB)


@pytest.mark.parametrize("text", ["", "Tried to allocate 1.2.3 GiB", "Tried to allocate 9e9 GiB", "12 GiB"])
def test_figures_that_are_none(text):
    assert shortage_of(torch.cuda.OutOfMemoryError(text)).needed_bytes is None


def test_a_figure_larger_than_any_memory():
    text = f"Tried to allocate {'9' * 300} GiB"
    assert shortage_of(torch.cuda.OutOfMemoryError(text)).needed_bytes == 1 << 62


@pytest.mark.parametrize(
    "error", [RuntimeError("shape mismatch"), ValueError("std::bad_alloc"), KeyError("x")]
)
def test_other_errors_are_none(error):
    assert not is_shortage(error)


class Mute(MemoryError):
    """Cannot even be printed."""

    def __str__(self):
        raise RuntimeError("no")


def test_an_error_that_cannot_be_printed():
    assert is_shortage(Mute())
    assert shortage_of(Mute()).needed_bytes is None


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        Exception(
            "CUDA_ERROR_OUT_OF_MEMORY: The API call failed because it was unable to allocate enough memory"
        ),
    ],
    ids=str,
)
def test_a_device_past_torchs_allocator(error):
    assert is_shortage(error)
    assert shortage_of(error).where == "device"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        SystemExit("CUDA error: out of memory"),
    ],
    ids=str,
)
def test_what_is_no_shortage(error):
    assert not is_shortage(error)
