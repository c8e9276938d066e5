"""The input sets of timed launches: one call each, and the arguments that the judge chose for it, again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kbd.backends.base import Executable
from kbd.daemon.executor import runner_protocol
from kbd.daemon.executor.shared_memory import extent
from kbd.daemon.executor.tensor_messages import Slot
from kbd.daemon.runner.copying import Target, target_at
from kbd.daemon.runner.values import pack, unpack


class TimedSets:
    """Sets that lie at equal distances in the memory of the judge.

    A kernel that transposes or redirects an argument in place would find it so at its next launch on the same
    set; `renewed` sees that and makes the arguments anew.
    """

    def __init__(
        self, kernel: Executable, message: runner_protocol.BindSets, tensor_of: Callable[[Slot], torch.Tensor]
    ) -> None:
        self._kernel = kernel
        self._message = message
        self._tensor_of = tensor_of
        self._arguments = [self._made(number) for number in range(message.count)]
        self._placed: tuple[tuple[Slot, ...], int, int] = (), 0, 0
        self._places: list[list[Target]] = []
        self.calls = [kernel.call_on(inputs, outputs) for inputs, outputs in self._arguments]

    @property
    def addresses(self) -> range:
        """Those from the first input tensor of the first set to the end of the last one of the last set.

        Not a byte more: what a kernel returns may lie right behind them.
        """
        message = self._message
        if not message.slots:
            return range(0)
        begins = [self._tensor_of(slot).data_ptr() for slot in message.slots]
        ends = [begin + extent(slot.meta) for begin, slot in zip(begins, message.slots, strict=True)]
        return range(min(begins), max(ends) + (message.count - 1) * message.stride)

    def output_addresses(self, number: int) -> list[int]:
        """Where the output buffers of a set begin."""
        return [tensor.data_ptr() for tensor in self._arguments[number][1]]

    def places(self, slots: tuple[Slot, ...], stride: int, count: int) -> list[list[Target]]:
        """For so many sets the places at these slots, those of set i lying i strides behind; none without slots."""
        if (slots, stride, count) != self._placed:
            self._placed = slots, stride, count
            self._places = [
                [target_at(self._tensor_of(_moved(slot, number * stride))) for slot in slots]
                for number in range(count if slots else 0)
            ]
        return self._places

    def renewed(self, number: int) -> Callable[[], Any] | None:
        """A call on arguments as they were at first, where the kernel has changed them; else None."""
        inputs, outputs = self._arguments[number]
        fresh_inputs, fresh_outputs = self._made(number)
        tree, tensors = pack(inputs)
        wanted = [*pack(fresh_inputs)[1], *fresh_outputs]
        if tree == self._message.values and all(map(same_view, [*tensors, *outputs], wanted)):
            return None
        self._arguments[number] = fresh_inputs, fresh_outputs
        return self._kernel.call_on(fresh_inputs, fresh_outputs)

    def _made(self, number: int) -> tuple[list[Any], list[torch.Tensor]]:
        message = self._message
        tensors = [self._tensor_of(_moved(slot, number * message.stride)) for slot in message.slots]
        outputs = [self._tensor_of(_moved(slot, number * message.output_stride)) for slot in message.outputs]
        return list(unpack(message.values, tensors)), outputs


def same_view(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors show the same memory in the same form."""
    return (one.data_ptr(), one.shape, one.stride(), one.dtype) == (
        other.data_ptr(),
        other.shape,
        other.stride(),
        other.dtype,
    )


def _moved(slot: Slot, nbytes: int) -> Slot:
    return slot.model_copy(update={"offset": slot.offset + nbytes})
