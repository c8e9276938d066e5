"""Bursts: several launches, each on an input set of its own, between one `go` and one `done`.

On CUDA a burst is one captured graph, so that launch overhead is gone; where the kernel cannot be captured,
and on the CPU, it is a plain loop. Of each there is another form that copies what every launch returned before the
next one begins. The judge chooses which sets a burst runs on and holds the clock; the
figure measured here is only a claim. A burst without launches does what every burst costs by itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from kbd.daemon.executor.runner_protocol import Prepared
from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.runner.copying import Target, copy_all, shares_memory
from kbd.daemon.runner.core_placing import CorePlacing
from kbd.daemon.runner.exposing import exposure_of
from kbd.daemon.runner.shortage import is_full, is_shortage
from kbd.daemon.runner.values import pack, tensors_in

WARM_UP_S = 0.1
WARM_UP_ROUNDS = 3
# Outputs that stay alive in a loop: with all of them, every launch would take new memory.
ALIVE = 4


T = TypeVar("T")


@dataclass
class Kept:
    """Sets on which a burst that was kept returned other tensors than there is room for; shared memory."""

    unfit: list[int] = field(default_factory=list)
    views: list[int] = field(default_factory=list)


class Bursts:
    """Bursts of one kernel: `calls[i]` launches it on input set i.

    `renew(i)` gives another such call where the last one has reshaped or redirected an argument in place, else
    None. Only kernels that did so while warming up are asked again, and never while the judge's clock runs.
    """

    def __init__(
        self,
        calls: Sequence[Callable[[], Any]],
        device: torch.device,
        renew: Callable[[int], Callable[[], Any] | None],
        inputs: range = range(0),
    ) -> None:
        self._calls = list(calls)
        self._device = device
        self._renew = renew
        self._inputs = inputs
        self.found = Kept()
        """What was found in the latest burst that was kept; `inputs` are the addresses of all sets."""
        self._reshapes = False
        self._plans: tuple[tuple[int, ...], ...] = ()
        self._graphs: list[Any] | None = None
        self._keeping_graphs: list[tuple[Any, Kept]] = []
        self._returned: list[list[Any]] = []
        self._idle: Any = None
        """Graphs that were prepared before a loop was: to destroy them takes milliseconds, which can wait."""
        self._kept: Sequence[Sequence[Target]] = ()
        self._scratch = torch.zeros(1, device=device)
        # Bound before any user's code could put another in its place; it waits for every stream.
        self._wait_for_device = torch.cuda.synchronize if device.type == "cuda" else _nothing
        self._take_place = CorePlacing.here().place_main if device.type == "cpu" else _nothing

    def prepare(
        self, plans: Sequence[Sequence[int]], method: str, kept: Sequence[Sequence[Target]] = ()
    ) -> Prepared:
        """Make every burst ready; falls back from graph to eager with the reason.

        `kept[i]`: where a burst that is kept copies what a launch on input set i returns.
        """
        self._plans, self._kept = tuple(map(tuple, plans)), kept
        if method == "graph":
            self._idle = None
        elif self._graphs is not None:
            self._idle = self._graphs, self._keeping_graphs, self._returned
        self._forget_graphs()
        if method == "graph":
            try:
                self._capture_all()
                return Prepared(method="graph")
            except Exception as error:  # noqa: BLE001 - whatever stops a capture is the reason to report
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:500]
                lacked_memory = is_shortage(error) or is_full(self._device)
                self._forget_graphs()
                torch.cuda.synchronize(self._device)
                return Prepared(method="eager", reason=reason, lacked_memory=lacked_memory)
        return Prepared(method="eager")

    def _forget_graphs(self) -> None:
        self._graphs, self._keeping_graphs, self._returned = None, [], [[] for _ in self._plans]

    def exposed(self, forms: Sequence[TensorMeta]) -> dict[str, Any]:
        """Of `Prepared`: where captured launches leave tensors of these forms; whether that is shared."""
        if self._graphs is None:
            return {}
        returned = (pack(value)[1] for burst in self._returned for value in burst)
        views = any(shares_memory(tensors, self._inputs) for tensors in returned)
        return {"exposure": exposure_of(self._returned, forms), "views": views}

    def warm_up(self) -> None:
        """Call the kernel a few times, so that nothing is built, tuned or loaded later; a slow one once."""
        deadline = time.perf_counter() + WARM_UP_S
        for place in [*range(len(self._calls))[:WARM_UP_ROUNDS]] * WARM_UP_ROUNDS:
            self._calls[place]()
            self._wait_for_device()
            self._reshapes = self._restore(place) or self._reshapes
            if time.perf_counter() >= deadline:
                return

    def run(self, index: int, *, keep: bool = False) -> int:
        """Run burst `index` to its end; returns the claimed nanoseconds."""
        self._take_place()
        started = time.perf_counter_ns()
        if keep:
            self._run_and_keep(index)
        elif self._graphs is not None:
            self._graphs[index].replay()
        else:
            self._loop(self._plans[index])
        self._wait_for_device()
        return time.perf_counter_ns() - started

    def restore(self, index: int) -> None:
        """Give the launches of burst `index` the arguments that the judge chose; to be done after its `done`.

        A captured graph knows addresses only: its replay has reshaped nothing.
        """
        if self._graphs is None:
            self._restore_all(self._plans[index])

    def _restore_all(self, plan: Sequence[int]) -> None:
        if self._reshapes:
            for place in plan:
                self._restore(place)

    def _restore(self, place: int) -> bool:
        renewed = self._renew(place)
        if renewed is not None:
            self._calls[place] = renewed
        return renewed is not None

    def _run_and_keep(self, index: int) -> None:
        if self._keeping_graphs:
            graph, self.found = self._keeping_graphs[index]
            graph.replay()
        elif self._graphs is not None:  # all lies where the judge reads it anyway
            self._graphs[index].replay()
            self.found = Kept()
        else:
            self.found = self._launched_and_kept(self._plans[index])

    def _loop(self, plan: Sequence[int]) -> None:
        """Hardly anything that is returned stays alive, as with those who call a kernel again and again."""
        calls, returned = self._calls, deque[Any](maxlen=ALIVE)
        append = returned.append
        for place in plan:
            append(calls[place]())
        if not plan:
            self._scratch.zero_()

    def _launched(self, plan: Sequence[int]) -> list[Any]:
        return [self._calls[place]() for place in plan]

    def _launched_and_kept(self, plan: Sequence[int]) -> Kept:
        """What is kept is copied before the next launch: that may use the memory again."""
        found, returned = Kept(), deque[Any](maxlen=ALIVE)
        for place in plan:
            returned.append(self._calls[place]())
            made = tensors_in(returned[-1])
            if shares_memory(made, self._inputs):
                found.views.append(place)
            if self._kept and not copy_all(self._kept[place], made):
                found.unfit.append(place)
        if not plan:
            self._scratch.zero_()
        return found

    def _capture_all(self) -> None:
        """The graphs of one preparation share a pool; it is gone with the last of them."""
        pool = torch.cuda.graph_pool_handle()
        self._graphs = []
        for index, plan in enumerate(self._plans):
            graph, self._returned[index] = self._captured(plan, pool, self._launched)
            self._graphs.append(graph)
        if self._kept:
            self._keeping_graphs = [
                self._captured(plan, pool, self._launched_and_kept) for plan in self._plans
            ]

    def _captured(
        self, plan: Sequence[int], pool: Any, launched: Callable[[Sequence[int]], T]
    ) -> tuple[Any, T]:
        """One graph, and what launching gave; outputs that are held stay where they are, apart from each other."""
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        # Not torch.cuda.graph: it collects garbage and empties the allocator's cache at every capture.
        with torch.cuda.stream(stream):
            graph.capture_begin(pool=pool)
            try:
                self._scratch.zero_()
                found = launched(plan)
            finally:
                graph.capture_end()
                self._restore_all(plan)
        torch.cuda.current_stream().wait_stream(stream)
        return graph, found


def _nothing() -> None:
    """The CPU has finished when the call returns."""
