"""Input sets at equal distances, and which addresses are theirs."""

import torch

from kbd.daemon.executor.runner_protocol import BindSets
from kbd.daemon.executor.shared_memory import tensor_at
from kbd.daemon.executor.tensor_messages import Slot
from kbd.daemon.runner.timed_sets import TimedSets
from kbd.daemon.runner.values import meta_of

STRIDE = 1024
SETS = 3
FIRST, SECOND = (Slot(arena=0, offset=offset, meta=meta_of(torch.zeros(5))) for offset in (256, 512))


class Kernel:
    """Returns nothing."""

    def call_on(self, inputs, outputs):
        return lambda: None


def sets_at(*slots):
    memory = torch.zeros(8192, dtype=torch.uint8)
    values = [{"tensor": number} for number in range(len(slots))]
    message = BindSets(count=SETS, values=values, slots=slots, stride=STRIDE)
    return memory, TimedSets(Kernel(), message, lambda slot: tensor_at(memory, slot))


def test_what_lies_right_before_or_behind_the_inputs_is_not_theirs():
    """As what a kernel returns may: the judge's memory is mapped where there is room."""
    memory, sets = sets_at(FIRST, SECOND)
    end = SECOND.offset + (SETS - 1) * STRIDE + 5 * 4
    assert sets.addresses == range(memory.data_ptr() + FIRST.offset, memory.data_ptr() + end)


def test_a_kernel_without_inputs_has_no_addresses():
    assert not sets_at()[1].addresses
