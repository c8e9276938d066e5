"""One kernel while it is timed: its input sets, its bursts, and what its launches left behind.

Bursts that count are asked for at a doorbell, since a frame each way costs more than most kernels.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from kbd.daemon.executor.doorbell import (
    NAP_S,
    PATIENT_NAP_S,
    PATIENT_S,
    STOP,
    Doorbell,
    make_page,
    make_wakers,
)
from kbd.daemon.executor.runner_protocol import (
    BindSets,
    Burst,
    Done,
    Listen,
    Okay,
    Prepare,
    Prepared,
    SetsBound,
)
from kbd.daemon.executor.shared_memory import extent
from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.judge.hosted_kernel import HostedKernel, InputSet
from kbd.daemon.judge.left_outputs import LeftOutputs
from kbd.daemon.judge.runner_link import RunnerForged, RunnerLost, RunnerSilent, RunnerTrouble, new_nonce
from kbd.daemon.judge.series import Method
from kbd.daemon.judge.set_table import copies_of, lend_sets

HEALTH_CHECK_S = 0.001
# Shapes may depend on the inputs, but room is made for what a runner claims.
RETURN_FACTOR = 4
RETURN_MARGIN_BYTES = 1 << 20


@dataclass(frozen=True)
class SetsPlan:
    """What one kernel's sets are made like.

    Attributes:
        inputs: an example of a set.
        outputs: buffers for kernels that write where they are told.
        written: places among the input tensors that the kernel writes (inout).
        beginnings: what each buffer holds before a launch; None where nothing is declared.
    """

    inputs: InputSet
    outputs: Sequence[TensorMeta]
    written: Sequence[int]
    count: int
    beginnings: Sequence[torch.Tensor | None] = ()


class TimedKernel:
    """The candidate or the reference with `count` input sets. Raises RunnerTrouble wherever it fails."""

    def __init__(self, hosted: HostedKernel, sets: SetsPlan) -> None:
        inputs, outputs, count = sets.inputs, sets.outputs, sets.count
        self.role = hosted.role
        self.count = count
        self.inputs = lend_sets(hosted.lender, "timed inputs", inputs.metas, count)
        self._outputs = lend_sets(hosted.lender, "timed outputs", outputs, count) if outputs else None
        self._tree = inputs.tree
        self._written = tuple(sets.written)
        self._beginnings = tuple(sets.beginnings)
        self._hosted = hosted
        self._link = hosted.link
        self._limit_s = hosted.limits.timing_s
        self._left: LeftOutputs | None = None
        self._bursts: Sequence[Sequence[int]] = ()
        self._keeps = False
        self._bell: Doorbell | None = None
        self._listen = self._asked = 0
        self._asked_limit_s = 0.0

    def bind(self, workload: int) -> None:
        """Tell the runner where the sets lie, which must have been filled; `bound` waits for its answer."""
        self._hosted.borrower.give_back()  # a runner frees the graphs of the last workload now
        buffers = self._outputs
        question = BindSets(
            workload=workload,
            count=self.count,
            values=self._tree,
            slots=self.inputs.slots,
            stride=self.inputs.stride,
            outputs=buffers.slots if buffers else (),
            output_stride=buffers.stride if buffers else 0,
        )
        self._asked_limit_s = self._link.limit(self._limit_s)
        self._asked = self._link.pose(question, self._asked_limit_s)

    def bound(self) -> None:
        """Wait until the runner has tried out the first set."""
        bound = self._link.answer_to(self._asked, SetsBound, self._asked_limit_s)
        self._left = LeftOutputs(self._hosted, self._outputs, bound)
        judged = self._hosted.returned_bytes
        if self.output_bytes > RETURN_FACTOR * judged + RETURN_MARGIN_BYTES:
            raise RunnerForged(
                self.role,
                f"it returns {self.output_bytes} bytes when it is timed, {judged} when it is judged",
            )

    @property
    def written(self) -> int:
        """How many inout arguments it has."""
        return len(self._written)

    @property
    def left(self) -> LeftOutputs:
        """What its timed launches return, once it is bound."""
        assert self._left is not None
        return self._left

    @property
    def returns(self) -> bool:
        """Whether it returned tensors when it was tried out."""
        return bool(self.left.metas)

    @property
    def takes_turns_on_device(self) -> bool:
        """Whether the device has to turn to this process first, after it has worked for another."""
        return self._hosted.device_kind == "cuda"

    def used_us(self) -> float | None:
        """CPU time of its runner with all that it has started; None where nobody counts it."""
        time_of_all = self._hosted.tree_time
        return None if time_of_all is None else time_of_all.so_far_us()

    @property
    def keeps(self) -> bool:
        """Whether bursts that are to be looked at keep what they return: slower ones, of which the runner knows."""
        return self._keeps

    @property
    def output_bytes(self) -> int:
        """What one launch writes, by what it returned."""
        return sum(map(extent, self.left.metas)) if self._left is not None else 0

    def start_preparing(
        self, bursts: Sequence[Sequence[int]], method: Method, *, keep: bool = False, final: bool = True
    ) -> None:
        """Have bursts over these sets made ready; `prepared` waits for it.

        `keep`: they will be told to keep what launches return. `final`: they will be audited.
        """
        self._asked_limit_s = self._link.limit(self._limit_s)
        self._bursts = bursts
        self.left.forget_bursts(method)
        self._keeps = keep
        room = self.left.room_to_keep(1 + max(itertools.chain([0], *bursts))) if keep else None
        question = Prepare(
            bursts=tuple(map(tuple, bursts)),
            method=method,
            expose=final and method == "graph" and not keep and self.left.is_elsewhere,
            **({"kept": room.slots, "kept_stride": room.stride, "kept_sets": room.count} if room else {}),
        )
        self._asked = self._link.pose(question, self._asked_limit_s)

    def prepared(self) -> Prepared:
        """How they were made ready."""
        told = self._link.answer_to(self._asked, Prepared, self._asked_limit_s)
        self.left.prepared(told, self._bursts)
        return told

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Within this the runner hears the doorbell, and nothing else."""
        self._start_listening()
        try:
            yield
        except BaseException as error:
            self._leave(error)
            raise
        self._stop_listening()

    def _start_listening(self) -> None:
        if not self._link.rings:
            return
        limit_s = self._link.limit(self._limit_s)
        with contextlib.ExitStack() as lent:
            page = make_page()
            lent.callback(os.close, page)
            mine, theirs = (None, None) if self.takes_turns_on_device else make_wakers()
            bell, descriptors = Doorbell(page, mine), [page]
            if theirs is not None:
                lent.callback(os.close, theirs)
                descriptors.append(theirs)
            try:
                self._listen = self._link.pose(Listen(), limit_s, descriptors)
                self._wait_until_listening(bell, limit_s)
            except BaseException:
                bell.close()
                raise
        self._bell = bell

    def _stop_listening(self) -> None:
        if self._bell is None:
            return
        self._ring_out()
        self._link.answer_to(self._listen, Okay, self._link.limit(self._limit_s))

    def _leave(self, error: BaseException) -> None:
        """A reference may still be asked, where not it is in trouble; else there are worse news than its answer."""
        if self.role == "reference" and not isinstance(error, RunnerTrouble):
            with contextlib.suppress(RunnerTrouble):
                self._stop_listening()
        else:
            self._ring_out()

    def _ring_out(self) -> None:
        if self._bell is not None:
            self._bell.ring(new_nonce(), STOP)
            self._bell.close()
            self._bell = None

    def burst(self, index: int, *, keep: bool = False) -> tuple[float, float]:
        """Run a burst: microseconds by the judge's clock, and what the runner claims."""
        if self._bell is not None:
            return self._ring(self._bell, index, keep=keep)
        measured_us, done = self._link.ask_timed(Burst(index=index, keep=keep), Done, self._limit_s)
        if keep:
            self.left.kept(index, done.unfit, views=bool(done.views))
        return measured_us, done.claimed_us

    def written_at(self, place: int) -> list[torch.Tensor]:
        """The inout arguments of this set, where they lie."""
        return [self.inputs.columns[column][place] for column in self._written]

    def written_to(self, sets: Sequence[int]) -> list[torch.Tensor]:
        """The inout arguments of these sets as they are now, each of all sets as one tensor (sets first)."""
        return [copies_of(self.inputs.columns[place], sets) for place in self._written]

    @property
    def adds_to_outputs(self) -> bool:
        """Whether a launch may build on what its output buffers hold."""
        return any(beginning is not None for beginning in self._beginnings)

    def begin_outputs(self) -> None:
        """Into the judge's own output buffers what is declared; on a device random bytes where nothing is.

        So what a launch does not write is seen.
        """
        if self._outputs is None:
            return
        if self._outputs.memory.is_cuda:
            self._outputs.memory.random_(0, 256)
        for column, beginning in zip(self._outputs.columns, self._beginnings, strict=False):
            if beginning is not None:
                column.copy_(beginning)

    def _wait_until_listening(self, bell: Doorbell, limit_s: float) -> None:
        give_up = time.monotonic() + limit_s
        while not bell.listening:
            if self._link.has_news:
                self._link.answer_to(
                    self._listen, Okay, limit_s
                )  # raises what went wrong, in nearly every case
                raise RunnerLost(self.role, "it stopped listening before anything was asked")
            if time.monotonic() > give_up:
                raise RunnerSilent(self.role, limit_s)
            if not self.takes_turns_on_device:
                time.sleep(NAP_S)

    def _ring(self, bell: Doorbell, index: int, *, keep: bool) -> tuple[float, float]:
        nonce, limit_s = new_nonce(), self._link.limit(self._limit_s)
        started = time.perf_counter_ns()
        bell.ring(nonce, index, keep=keep)
        health_check_ns = started + int(HEALTH_CHECK_S * 1e9)
        while not bell.done(nonce):
            now = time.perf_counter_ns()
            if now < health_check_ns:
                continue
            self._check_health(now - started, limit_s)
            if self.takes_turns_on_device and now - started > PATIENT_S * 1e9:
                time.sleep(PATIENT_NAP_S)
            health_check_ns = now + int(HEALTH_CHECK_S * 1e9)
        measured_us = (time.perf_counter_ns() - started) / 1e3
        if keep:
            self.left.kept(index, bell.unfit, views=bell.views)
        return measured_us, bell.claimed_us

    def _check_health(self, waited_ns: int, limit_s: float) -> None:
        """Raises RunnerTrouble when there is nothing to wait for."""
        if self._link.has_news:
            self._link.answer_to(self._listen, Okay, limit_s)
            raise RunnerLost(self.role, "it stopped listening in the middle of a burst")
        if waited_ns / 1e9 > limit_s:
            raise RunnerSilent(self.role, limit_s)
