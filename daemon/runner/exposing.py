"""Where captured launches leave what they return: told before they run, so that nobody has to ask afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kbd.daemon.executor.runner_protocol import MOST_HANDLES, MOST_PLACES, Exposure
from kbd.daemon.executor.shared_memory import SharingFailed, allocation_at, handle_of
from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.runner.values import UnknownValue, meta_of, pack

NOWHERE = (0, 0)
"""Of a tensor without elements."""


def exposure_of(bursts: Sequence[Sequence[Any]], forms: Sequence[TensorMeta]) -> Exposure | None:
    """The places of what `bursts` return, launch by launch; None where it cannot be read in one way for all.

    That is so where a launch returns other tensors than `forms`, or lazy conjugates, where memory is not from
    cudaMalloc or is the judge's own, and where there are too many.
    """
    known: dict[int, tuple[int, int]] = {}
    handles: list[str] = []

    def place_of(tensor: torch.Tensor) -> tuple[int, int]:
        if not tensor.numel():
            return NOWHERE
        begin, nbytes = allocation_at(tensor.data_ptr())
        if begin not in known:
            handles.append(handle_of(begin))
            known[begin] = len(handles) - 1, nbytes
        return known[begin][0], tensor.data_ptr() - begin

    places = []
    try:
        for returned in bursts:
            launches = [pack(value)[1] for value in returned]
            if any(not _alike(tensors, forms) for tensors in launches):
                return None
            places.append(tuple(place_of(tensor) for tensors in launches for tensor in tensors))
    except (SharingFailed, UnknownValue):
        return None
    if len(handles) > MOST_HANDLES or sum(map(len, places)) > MOST_PLACES:
        return None
    return Exposure(handles=tuple(handles), places=tuple(places))


def _alike(tensors: Sequence[torch.Tensor], forms: Sequence[TensorMeta]) -> bool:
    plain = not any(tensor.is_conj() or tensor.is_neg() for tensor in tensors)
    return plain and [meta_of(tensor) for tensor in tensors] == list(forms)
