"""Bursts: several launches, each on an input set of its own, between one `go` and one `done`.

On CUDA a burst is one captured graph, so that launch overhead is gone; where the kernel cannot be captured,
and on the CPU, it is a plain loop. The judge chooses which sets a burst runs on and holds the clock; the
figure measured here is only a claim. A burst without launches does what every burst costs by itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kbd.daemon.executor.runner_protocol import Prepared, TensorMeta
from kbd.daemon.runner.copying import Target, copy_all, lies_within
from kbd.daemon.runner.exposing import exposure_of
from kbd.daemon.runner.values import pack, tensors_in

WARM_UP_S = 0.1
WARM_UP_ROUNDS = 3
# Outputs that stay alive in a loop on the CPU: with all of them kept, every launch would fault in new pages.
HOST_KEPT = 4


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
        self.views: list[int] = []
        """Sets on which the latest burst that was kept returned memory of the `inputs` (addresses of all sets)."""
        self.unfit: list[int] = []
        """Sets on which the latest burst that was kept returned other tensors than there is room for."""
        self._reshapes = False
        self._plans: tuple[tuple[int, ...], ...] = ()
        self._graphs: list[Any] | None = None
        self._returned: list[list[Any]] = []
        self._order: list[int] = []
        self._captured_addresses: dict[int, list[set[int]]] = {}
        self._kept: Sequence[Sequence[Target]] = ()
        self._scratch = torch.zeros(1, device=device)
        # Bound before any user's code could put another in its place; it waits for every stream.
        self._wait_for_device = torch.cuda.synchronize if device.type == "cuda" else _nothing

    def prepare(
        self, plans: Sequence[Sequence[int]], method: str, kept: Sequence[Sequence[Target]] = ()
    ) -> Prepared:
        """Make every burst ready; falls back from graph to eager with the reason.

        `kept[i]`: where a burst that is kept copies what a launch on input set i returns.
        """
        self._plans, self._kept = tuple(map(tuple, plans)), kept
        self._graphs, self._returned, reason = None, [[] for _ in plans], None
        self._order, self._captured_addresses = [0] * len(plans), {}
        if method == "graph":
            try:
                self._capture_all()
                return Prepared(method="graph")
            except Exception as error:  # noqa: BLE001 - whatever stops a capture is the reason to report
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:500]
                self._graphs, self._returned = None, [[] for _ in plans]
                torch.cuda.synchronize(self._device)
        return Prepared(method="eager", reason=reason)

    def exposed(self, forms: Sequence[TensorMeta]) -> dict[str, Any]:
        """Of `Prepared`: where captured launches leave tensors of these forms; whether that is in the inputs."""
        if self._graphs is None:
            return {}
        returned = (tensor for burst in self._returned for value in burst for tensor in pack(value)[1])
        views = any(lies_within(tensor, self._inputs) for tensor in returned)
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
        self._order[index] = max(self._order) + 1
        started = time.perf_counter_ns()
        if self._graphs is not None:
            self._graphs[index].replay()
        else:
            self._loop(index, keep=keep)
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

    def outputs_of(self, index: int, launch: int) -> list[torch.Tensor]:
        """On a device: the tensors that a launch of burst `index` returned when that was run last."""
        return pack(self._returned[index][launch])[1]

    def overwritten(self, index: int, launches: Sequence[int]) -> tuple[int, ...]:
        """Those whose memory a later launch returned again: a kernel may have one buffer for all it returns."""
        later_bursts = [other for other, order in enumerate(self._order) if order > self._order[index]]
        taken: set[int] = set().union(*(one for other in later_bursts for one in self._addresses_in(other)))
        mine = self._addresses_in(index)
        found: list[int] = []
        for launch in range(len(mine) - 1, min(launches) - 1, -1):
            if launch in launches and mine[launch] & taken:
                found.append(launch)
            taken |= mine[launch]
        return tuple(sorted(found))

    def _addresses_in(self, index: int) -> list[set[int]]:
        """Where the outputs of each launch of a burst begin; a captured burst never moves them."""
        if self._graphs is None:
            return [_addresses(value) for value in self._returned[index]]
        if index not in self._captured_addresses:
            self._captured_addresses[index] = [_addresses(value) for value in self._returned[index]]
        return self._captured_addresses[index]

    def _loop(self, index: int, *, keep: bool) -> None:
        if self._device.type == "cpu":
            self._loop_on_host(self._plans[index], keep=keep)
            return
        self._returned[index] = [self._calls[place]() for place in self._plans[index]]
        if not self._plans[index]:
            self._scratch.zero_()

    def _loop_on_host(self, plan: Sequence[int], *, keep: bool) -> None:
        """What is kept is copied before the next launch: that may use the memory again."""
        calls, returned = self._calls, deque[Any](maxlen=HOST_KEPT)
        append = returned.append
        if not keep:
            for place in plan:
                append(calls[place]())
            return
        self.unfit, self.views = [], []
        for place in plan:
            append(calls[place]())
            made = tensors_in(returned[-1])
            if self._kept and not copy_all(self._kept[place], made):
                self.unfit.append(place)
            if any(lies_within(tensor, self._inputs) for tensor in made):
                self.views.append(place)

    def _capture_all(self) -> None:
        """The graphs of one preparation share a pool; it is gone with the last of them."""
        pool = torch.cuda.graph_pool_handle()
        self._graphs = []
        for index, plan in enumerate(self._plans):
            self._graphs.append(self._captured(index, plan, pool))

    def _captured(self, index: int, plan: Sequence[int], pool: Any) -> Any:
        """One graph; the outputs of all its launches stay where they are, apart from each other."""
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        # Not torch.cuda.graph: it collects garbage and empties the allocator's cache at every capture.
        with torch.cuda.stream(stream):
            graph.capture_begin(pool=pool)
            try:
                self._scratch.zero_()
                self._returned[index] = [self._calls[place]() for place in plan]
            finally:
                graph.capture_end()
                self._restore_all(plan)
        torch.cuda.current_stream().wait_stream(stream)
        return graph


def _addresses(value: Any) -> set[int]:
    return {tensor.data_ptr() for tensor in pack(value)[1] if tensor.numel()}


def _nothing() -> None:
    """The CPU has finished when the call returns."""
