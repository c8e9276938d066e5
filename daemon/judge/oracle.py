"""Where expected values come from: the reference, computing in float64 where it can.

A reference in float32 or bfloat16 is itself only near the truth, and a candidate that errs the other way would
be charged with the errors of both. So the reference is run once more on the same inputs, upcast; what comes out
is rounded to the dtype of the output. The float64 form must mean the same thing: if the reference as it is does
not agree with it, its own outputs are what is expected.

Where the job leaves the tolerance to the judge, an output on which the reference itself is inexact (a sum that
cancels, a deep network in bfloat16) is allowed twice the reference's own error, as the tests of FlashAttention do
it, up to a bound beyond which it is no rounding any more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from kbd.daemon.executor.runner_protocol import Ran
from kbd.daemon.judge.bits import same_bits
from kbd.daemon.judge.compare import compare
from kbd.daemon.judge.expected import ExpectedOutput
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.tolerance import AskedTolerance

REFERENCE = "reference"
UPCAST = "reference upcast to float64"
BUDGET_S = 1.0
OWN_ERROR_FACTOR = 2.0
ROUNDING_AT_MOST = 8.0  # times the tolerance: beyond it the float64 form computes something else


class Oracle:
    """Decides for one workload, trial by trial; once the float64 form has failed, it is not asked again."""

    def __init__(self, reference: HostedKernel) -> None:
        self._reference = reference
        self._trials = self._upcast = 0
        self._spent_s = 0.0
        self._given_up: str | None = None

    @property
    def said(self) -> str:
        """For the result: where the expected values came from, and why not from float64."""
        if self._given_up is None:
            return UPCAST
        if self._upcast:
            return f"{UPCAST} in {self._upcast} of {self._trials} trials, then as it is ({self._given_up})"
        return f"{REFERENCE} ({self._given_up})" if self._given_up else REFERENCE

    def run(self, place: int) -> Ran:
        """Run the reference on set `place`, in float64 as well while that is worth it. Raises RunnerTrouble."""
        started = time.monotonic()
        ran = self._reference.run(place, precisely=self._given_up is None)
        self._trials += 1
        self._spent_s += time.monotonic() - started
        if self._given_up is None and ran.precise is None:
            self._given_up = f"in float64 it fails: {ran.imprecise or 'no reason given'}"
        return ran

    def settle(
        self,
        ran: Ran,
        names: Sequence[str],
        plain: Sequence[torch.Tensor],
        asked: Sequence[AskedTolerance],
        places: Sequence[int] | None = None,
    ) -> list[ExpectedOutput]:
        """What is expected. `plain` are the reference's own outputs, or its tensor inputs at these `places`."""
        precise = self._precise(ran, plain, places) if self._given_up is None else None
        settled: list[ExpectedOutput] = []
        for place, (name, tensor, bounds) in enumerate(zip(names, plain, asked, strict=True)):
            better = None if precise is None else _better(name, tensor, precise[place], bounds)
            if precise is not None and better is None:
                self._given_up = f"in float64 it computes another {name}"
                return [_as_it_is(*output) for output in zip(names, plain, asked, strict=True)]
            settled.append(better or _as_it_is(name, tensor, bounds))
        if precise is not None:
            self._upcast += 1
            if self._spent_s > BUDGET_S:
                self._given_up = "float64 takes too long"
        return settled

    def _precise(
        self, ran: Ran, plain: Sequence[torch.Tensor], places: Sequence[int] | None
    ) -> list[torch.Tensor] | None:
        """Its outputs in float64, rounded to the dtypes of `plain`; None where they are not the same outputs."""
        assert ran.precise is not None
        if not any(tensor.dtype.is_floating_point for tensor in plain):
            self._given_up = ""
            return None
        metas = ran.precise.tensors
        chosen = range(len(metas)) if places is None else places
        found = [metas[place].shape for place in chosen if place < len(metas)]
        if found != [tuple(tensor.shape) for tensor in plain]:
            self._given_up = "in float64 it returns other outputs"
            return None
        return self._reference.precise_outputs_of(ran, plain, chosen)


def _as_it_is(name: str, tensor: torch.Tensor, asked: AskedTolerance) -> ExpectedOutput:
    return ExpectedOutput(name, tensor, asked.applied_to(tensor), asked.required_matched_ratio)


def _better(
    name: str, plain: torch.Tensor, precise: torch.Tensor, asked: AskedTolerance
) -> ExpectedOutput | None:
    """The float64 expectation; None where the reference as it is does not agree with it."""
    if not plain.dtype.is_floating_point:
        return _as_it_is(name, plain, asked)  # an index or a count is what the reference says it is
    better = _as_it_is(name, precise, asked)
    if same_bits(precise, plain) or torch.equal(precise, plain):
        return better
    own = compare(precise, plain, better.tolerance)
    if asked.is_open and own.specials_agree and own.largest_share <= ROUNDING_AT_MOST:
        own_error = OWN_ERROR_FACTOR * own.largest_share
        return replace(better, tolerance=better.tolerance.times(max(1.0, own_error)))
    return better if better.accepts(own) else None
