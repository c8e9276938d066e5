"""Whether there is room for the tensors of a job: asked before any of them is made.

    contract     must fit the host as often as its tensors are held there at once               TooLarge
    runner       tells of tensors that it has made: of no more than it may use, and no more
                 than the host could hold of them                                               a MemoryReport

The kernel of an operating system hands out more memory than there is, and ends processes once it is used: whoever
waits for an error is dead by then. On a device an allocation fails, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from kbd.daemon.executor.runner_protocol import Failed
from kbd.daemon.executor.sandbox.host_memory import host_memory_bytes
from kbd.daemon.judge.trials import PLACES
from kbd.inbox.bound_contract import BoundArg, BoundContract, BoundTensor
from kbd.inbox.dtypes import DType
from kbd.inbox.tensor_data import TensorData
from kbd.outbox.report import MemoryReport

WIDEST_BYTES: Final = 8
AS_DRAWN: Final = frozenset({DType.FLOAT64, DType.FLOAT32, DType.INT64})
"""Made in their own format; others are rounded from a copy in the widest one."""
Made = Literal["inputs", "init_inputs", "outputs", "precise"]
HELD: Final[Mapping[Made, int]] = MappingProxyType(
    {"inputs": 4 + 2 * PLACES, "init_inputs": 3, "outputs": 4, "precise": 2}
)
"""How often what a runner has made is held at most: exported, for some trials, by each kernel at each place."""


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


@dataclass
class Announcements:
    """What one runner says that it has made: to say so costs it nothing, to believe it costs the judge memory.

    `runner_bytes`: what it may use; `host_bytes`: what there is for all that is held of it. None: no bound.
    """

    where: Literal["host", "device"] = "host"
    runner_bytes: int | None = None
    host_bytes: int | None = None
    _told: dict[Made, int] = field(default_factory=dict)

    def refusal(self, what: Made, nbytes: int) -> Failed | None:
        """Why it cannot have made so many bytes, in place of those of this kind before; None where it can."""
        memory = self.shortage(what, nbytes)
        if memory is None:
            return None
        needed, limit = f"{memory.needed_bytes} bytes", f"{memory.limit_bytes} at most can be had"
        return Failed(
            status="out_of_memory",
            type="OutOfMemory",
            message=f"its {what} need {needed} of the {memory.where}'s memory, {limit}",
            hint="use smaller tensors, or give the runners more memory",
            memory=memory,
        )

    def shortage(self, what: Made, nbytes: int) -> MemoryReport | None:
        """What is lacking for so many bytes of this kind, in place of those told before; None: nothing."""
        self._told[what] = nbytes
        if self.runner_bytes is not None and nbytes > self.runner_bytes:
            return MemoryReport(where=self.where, needed_bytes=nbytes, limit_bytes=self.runner_bytes)
        held = sum(HELD[kind] * told for kind, told in self._told.items())
        if self.host_bytes is not None and held > self.host_bytes:
            return MemoryReport(where="host", needed_bytes=held, limit_bytes=self.host_bytes)
        return None
