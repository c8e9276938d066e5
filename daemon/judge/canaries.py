"""Known bytes around lent tensors, and in output buffers before a run.

A kernel that writes past its tensors changes them. A kernel that reads past its inputs, or leaves outputs
unwritten, meets NaN: the bytes are one in every floating format (every second one in float8_e4m3fn).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch

from kbd.daemon.executor.shared_memory import ALIGNMENT, extent, tensor_at
from kbd.daemon.executor.tensor_messages import Slot
from kbd.daemon.judge.bits import same_bits

GUARD_BYTES = 4096
PERIOD_BYTES = ALIGNMENT
SIGN_AND_EXPONENT = 0xFF
# The bytes between: NaN in float8_e5m2, and with 0xFF above them in all wider formats.
MANTISSAS = (0xFD, 0xFE)


@functools.cache
def canary(device: str) -> torch.Tensor:
    """Bytes of one judge's own, for any range of up to a guard zone and its alignment."""
    low, high = MANTISSAS
    block = torch.randint(low, high + 1, (PERIOD_BYTES,), dtype=torch.uint8, device=device)
    block[1::2] = SIGN_AND_EXPONENT
    return block.repeat(GUARD_BYTES // PERIOD_BYTES + 3)


@functools.cache
def noise(device: str) -> torch.Tensor:
    """Bytes that are no plausible integers, for output buffers."""
    return torch.randint(3, 250, (PERIOD_BYTES,), dtype=torch.uint8, device=device)


def raise_fences(memory: torch.Tensor, slots: Sequence[Slot]) -> None:
    """Write the canaries around every slot, and into the gaps that strides leave."""
    for slot in slots:
        if has_gaps(slot):
            _inside(memory, slot).copy_(_pattern(memory, slot.offset, extent(slot.meta)))
        for start, stop in _zones(slot):
            memory[start:stop].copy_(_canary_at(memory, start, stop))


def broken_fences(memory: torch.Tensor, slots: Sequence[Slot]) -> list[int]:
    """Places of the slots around which something was written; one look at the device if there are none."""
    zones = [(place, start, stop) for place, slot in enumerate(slots) for start, stop in _zones(slot)]
    if not zones:
        return []
    found = torch.cat([memory[start:stop] for _, start, stop in zones])
    expected = torch.cat([_canary_at(memory, start, stop) for _, start, stop in zones])
    broken: set[int] = {
        place for place, slot in enumerate(slots) if has_gaps(slot) and _gap_broken(memory, slot)
    }
    if not (same_bits(found, expected) or torch.equal(found, expected)):
        broken |= {
            place
            for place, start, stop in zones
            if not torch.equal(memory[start:stop], _canary_at(memory, start, stop))
        }
    return sorted(broken)


def poison(memory: torch.Tensor, slots: Sequence[Slot]) -> None:
    """Fill output buffers with what no kernel computes: NaN, or integers without meaning."""
    for slot in slots:
        tensor = tensor_at(memory, slot)
        if tensor.dtype is torch.bool:
            tensor.copy_(noise(str(memory.device))[0] % 2)  # other bytes are no booleans
        elif tensor.dtype.is_floating_point:
            tensor.fill_(torch.nan)
        elif tensor.numel():
            _inside(memory, slot).copy_(_repeated(noise(str(memory.device)), extent(slot.meta)))


def has_gaps(slot: Slot) -> bool:
    """Whether strides leave bytes between the elements."""
    meta = slot.meta
    if meta.stride is None:
        return False
    step = 1
    for stride, size in sorted(zip(meta.stride, meta.shape, strict=True)):
        if size > 1:
            if stride > step:
                return True
            step = stride * size
    return False


def _zones(slot: Slot) -> Iterator[tuple[int, int]]:
    """The bytes before a slot, and those behind it up to the next aligned place and a guard zone."""
    end = slot.offset + extent(slot.meta)
    yield slot.offset - GUARD_BYTES, slot.offset
    yield end, -(-end // ALIGNMENT) * ALIGNMENT + GUARD_BYTES


def _inside(memory: torch.Tensor, slot: Slot) -> torch.Tensor:
    return memory[slot.offset : slot.offset + extent(slot.meta)]


def _canary_at(memory: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """What stands in a zone: it depends on the place alone, so zones that share bytes agree."""
    phase = start % PERIOD_BYTES
    return canary(str(memory.device))[phase : phase + stop - start]


def _pattern(memory: torch.Tensor, start: int, nbytes: int) -> torch.Tensor:
    assert start % PERIOD_BYTES == 0
    return _repeated(canary(str(memory.device))[:PERIOD_BYTES], nbytes)


def _repeated(block: torch.Tensor, nbytes: int) -> torch.Tensor:
    return block.repeat(-(-nbytes // PERIOD_BYTES))[:nbytes]


def _gap_broken(memory: torch.Tensor, slot: Slot) -> bool:
    """Put the elements as they are into fresh canaries: whatever differs then lies between them."""
    image = _pattern(memory, slot.offset, extent(slot.meta)).clone()
    at_zero = slot.model_copy(update={"offset": 0})
    tensor_at(image, at_zero).copy_(tensor_at(memory, slot))
    return not torch.equal(image, _inside(memory, slot))
