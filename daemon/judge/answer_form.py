"""Whether what a candidate returned has the form of what is expected, before any value is looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from kbd.daemon.executor.tensor_messages import Overlap, TensorMeta, Values
from kbd.daemon.judge.wrong import Wrong
from kbd.daemon.runner.values import keys, leaves
from kbd.outbox.verdict import EvaluationStatus

SCALAR_TOLERANCE = 1e-4


def check_form(wanted: Values, found: Values, device: torch.device) -> None:
    """As many tensors, of equal shapes, dtypes and device, each in memory of its own. Raises Wrong."""
    if len(found.tensors) != len(wanted.tensors):
        raise Wrong(
            EvaluationStatus.INCORRECT_SHAPE,
            f"expected {_tensors(len(wanted.tensors))} from the candidate, found {_tensors(len(found.tensors))}",
            "return what the reference returns, in the same order",
        )
    for place, (want, have) in enumerate(zip(wanted.tensors, found.tensors, strict=True)):
        _check_tensor(place, want, have, device)
    _check_keys(wanted, found)
    _check_scalars(wanted, found)


def _check_keys(wanted: Values, found: Values) -> None:
    """Where both give dicts, the same keys in any order. A list in place of a dict is as good. Raises Wrong."""
    want, have = keys(wanted.tree), keys(found.tree)
    if not (want and have) or list(map(repr, want)) == list(map(repr, have)):
        return
    raise Wrong(
        EvaluationStatus.INCORRECT_OUTPUT,
        f"in dicts, expected the keys {_shown(want)}, found {_shown(have)}",
        "return what the reference returns, under the same keys",
    )


def _tensors(count: int) -> str:
    return {0: "no tensor", 1: "1 tensor"}.get(count, f"{count} tensors")


def _check_tensor(place: int, want: TensorMeta, have: TensorMeta, device: torch.device) -> None:
    if want.shape != have.shape:
        raise Wrong(
            EvaluationStatus.INCORRECT_SHAPE,
            f"output {place}: expected shape {list(want.shape)}, found {list(have.shape)}",
        )
    if want.dtype != have.dtype:
        raise Wrong(
            EvaluationStatus.INCORRECT_DTYPE,
            f"output {place}: expected dtype {want.dtype}, found {have.dtype}",
            f"convert the output to {want.dtype}",
        )
    if have.device != device.type:
        raise Wrong(
            EvaluationStatus.INCORRECT_OUTPUT,
            f"output {place}: expected on {device.type}, found on {have.device}",
            "return the output on the device of the inputs",
        )


def _check_scalars(wanted: Values, found: Values) -> None:
    """Numbers and strings beside the tensors. None counts for nothing: it may stand or not."""
    want, have = _scalars(wanted), _scalars(found)
    if len(want) == len(have) and all(map(_same_scalar, want, have)):
        return
    raise Wrong(
        EvaluationStatus.INCORRECT_OUTPUT,
        f"beside the tensors, expected {_shown(want)}, found {_shown(have)}",
        "return what the reference returns, in the same order",
    )


def _scalars(values: Values) -> list[object]:
    found = (_plain(leaf) for leaf in leaves(values.tree) if leaf is not None)
    return [leaf for leaf in found if not (isinstance(leaf, dict) and "tensor" in leaf)]


def _plain(leaf: object) -> object:
    return float(leaf["float"]) if isinstance(leaf, dict) and "float" in leaf else leaf


def _same_scalar(want: object, have: object) -> bool:
    if type(want) is not type(have):
        return False
    if isinstance(want, float) and isinstance(have, float):
        near = math.isclose(want, have, rel_tol=SCALAR_TOLERANCE)
        return near or (math.isnan(want) and math.isnan(have))
    return want == have


def _shown(scalars: Sequence[object]) -> str:
    text = ", ".join(map(repr, scalars)) or "nothing"
    return text if len(text) < 200 else f"{text[:200]}…"


def check_memory(wanted: Values, found: Values, names: Sequence[str], may_change: frozenset[int]) -> None:
    """Outputs overlap nothing that the reference's do not: no input, no other output, not themselves.

    A view of an input changes with it, and costs less than the copy that was asked for. Raises Wrong.
    """
    for place, (want, have) in enumerate(zip(wanted.tensors, found.tensors, strict=False)):
        if _repeats_itself(have) and not _repeats_itself(want):
            raise Wrong(
                EvaluationStatus.INCORRECT_OUTPUT,
                f"output {place} is an expanded tensor: many of its elements are one place in memory",
                "return a tensor with memory for each element, such as .contiguous() makes",
            )
    for overlap in found.overlaps:
        if overlap in wanted.overlaps or (overlap.kind == "input" and overlap.other in may_change):
            continue
        raise Wrong(
            EvaluationStatus.INCORRECT_OUTPUT,
            f"output {overlap.output} shares memory with {_other(overlap, names)}; the reference's does not",
            "return a tensor of its own, such as .clone() makes",
        )


def _other(overlap: Overlap, names: Sequence[str]) -> str:
    if overlap.kind == "output":
        return f"output {overlap.other}"
    return f"the input {names[overlap.other]}" if overlap.other < len(names) else "an input"


def _repeats_itself(meta: TensorMeta) -> bool:
    steps = zip(meta.stride or (), meta.shape, strict=False)
    return any(stride == 0 and size > 1 for stride, size in steps)
