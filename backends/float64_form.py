"""The same Python kernel, computing in float64: what the oracle of a comparison is made of."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch


def float64_form(call: Callable[..., Any]) -> Callable[..., Any]:
    """A module (or the module that a method belongs to) is copied and its parameters and buffers widened.

    A function stays as it is: its inputs decide what it computes in. What `torch.compile` has wrapped is taken
    out, because compiling it for another dtype takes longer than all comparisons together. Raises whatever
    copying a user's module raises.
    """
    if isinstance(call, torch.nn.Module):
        return copy.deepcopy(getattr(call, "_orig_mod", call)).double()
    call = getattr(call, "_torchdynamo_orig_callable", call)
    owner = getattr(call, "__self__", None)
    if isinstance(owner, torch.nn.Module):
        method: Callable[..., Any] = getattr(copy.deepcopy(owner).double(), call.__name__)
        return method
    return call
