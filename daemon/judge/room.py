"""Whether the host has room for the tensors of a job on its CPU: asked before any of them is made.

The kernel of an operating system hands out more memory than there is, and ends processes once it is used: whoever
waits for an error is dead by then. On a device an allocation fails, and says so.
"""

from __future__ import annotations

from typing import Final

from kbd.daemon.executor.sandbox.host_memory import host_memory_bytes
from kbd.daemon.judge.trials import PLACES
from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_data import TensorData

WIDEST_BYTES: Final = 8
AS_DRAWN: Final = frozenset({DType.FLOAT64, DType.FLOAT32, DType.INT64})
"""Made in their own format; others are rounded from a copy in the widest one."""


class TooLarge(Exception):
    """The tensors of a job cannot be held by this host. Sizes in bytes."""

    def __init__(self, needed_bytes: int, host_bytes: int) -> None:
        super().__init__(
            f"its tensors take {needed_bytes} bytes while they are judged, the host has {host_bytes}"
        )
        self.needed_bytes = needed_bytes
        self.host_bytes = host_bytes


def require_room(contract: BoundContract, *, compared: bool) -> None:
    """Raise TooLarge where the tensors of a contract cannot be held as often as they are there at once.

    `compared`: with a reference, each of two kernels gets them at every place, beside the judge's own; a kernel
    alone may get them at one.
    """
    copies = 1 + 2 * PLACES if compared else 2
    needed = copies * sum(_held_bytes(arg) for arg in contract.tensors)
    needed += max((_drawn_bytes(arg) for arg in contract.input_tensors), default=0)
    if needed > (host := host_memory_bytes()):
        raise TooLarge(needed, host)


def _held_bytes(arg: BoundArg) -> int:
    """With the gaps that strides leave, which are written as well."""
    assert arg.tensor is not None
    return arg.tensor.extent * arg.tensor.dtype.itemsize


def _drawn_bytes(arg: BoundArg) -> int:
    """What drawing takes beside the tensor itself."""
    tensor = arg.tensor
    assert tensor is not None
    return tensor.elements * WIDEST_BYTES if _is_rounded(tensor) else 0


def _is_rounded(tensor: BoundTensor) -> bool:
    return not isinstance(tensor.content, TensorData) and tensor.dtype not in AS_DRAWN
