"""Bursts: many launches between one `go` and one `done`.

On CUDA a burst is one captured graph, so that launch overhead is gone; where the kernel cannot be captured,
and on the CPU, it is a plain loop. The judge chooses the lengths and holds the clock; the figure measured here
is only a claim.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kbd.daemon.executor.runner_protocol import Prepared

WARM_UP_ROUNDS = 3
WARM_UP_S = 0.1


class Bursts:
    """Bursts of one kernel over its input sets, each call in turn on the next set."""

    def __init__(self, calls: Sequence[Callable[[], Any]], device: torch.device) -> None:
        self._calls = tuple(calls)
        self._device = device
        self._bursts: list[Callable[[], Any]] = []
        self._pool: Any = None

    @property
    def sets(self) -> int:
        """How many input sets the bursts cycle over."""
        return len(self._calls)

    def prepare(self, lengths: Sequence[int], method: str) -> Prepared:
        """Make every burst ready; falls back from graph to eager with the reason."""
        if method == "graph":
            # The graphs of one preparation share a pool; it is gone with the last of them.
            self._pool = torch.cuda.graph_pool_handle()
            try:
                self._bursts = [self._captured(length) for length in lengths]
                return Prepared(method="graph")
            except Exception as error:  # noqa: BLE001 - whatever stops a capture is the reason to report
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:500]
                torch.cuda.synchronize(self._device)
        else:
            reason = None
        self._bursts = [self._loop(length) for length in lengths]
        return Prepared(method="eager", reason=reason)

    def run(self, index: int) -> float:
        """Run burst `index` to its end; returns the claimed microseconds."""
        if self._device.type == "cuda":
            return self._run_on_device(self._bursts[index])
        started = time.perf_counter_ns()
        self._bursts[index]()
        return (time.perf_counter_ns() - started) / 1e3

    def _run_on_device(self, burst: Callable[[], Any]) -> float:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        first.record()
        burst()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last)) * 1e3

    def warm_up(self) -> None:
        """Call the kernel a few times, so that nothing is built, tuned or loaded later; a slow one once."""
        deadline = time.perf_counter() + WARM_UP_S
        for call in self._calls * WARM_UP_ROUNDS:
            call()
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            if time.perf_counter() >= deadline:
                return

    def _loop(self, length: int) -> Callable[[], None]:
        calls = [self._calls[position % len(self._calls)] for position in range(length)]

        def burst() -> None:
            for call in calls:
                call()

        return burst

    def _captured(self, length: int) -> Callable[[], None]:
        """One graph of `length` launches.

        As many outputs as there are sets are kept apart: no launch finds the last one in the cache.
        """
        if length == 0:
            return lambda: None
        graph = torch.cuda.CUDAGraph()
        outputs: deque[Any] = deque(maxlen=len(self._calls))
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        # Not torch.cuda.graph: it collects garbage and empties the allocator's cache at every capture.
        with torch.cuda.stream(stream):
            graph.capture_begin(pool=self._pool)
            try:
                for position in range(length):
                    outputs.append(self._calls[position % len(self._calls)]())
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(stream)
        return graph.replay
