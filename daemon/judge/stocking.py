"""How many input sets a bench gets, and what they are made from."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import torch

from kbd.daemon.judge.bench import Bench
from kbd.daemon.judge.freshening import Freshener, Origin
from kbd.daemon.judge.hosted_kernel import HostedKernel
from kbd.daemon.judge.inputs import InputSource, TrialInputs, input_source
from kbd.daemon.judge.runner_link import RunnerFailed
from kbd.daemon.judge.session import Finding, Session
from kbd.daemon.judge.timed_kernel import SetsPlan, TimedKernel
from kbd.inbox.tensor_data import TensorData

FEWEST_SETS: Final = 3
MOST_SETS: Final = {"cuda": 768, "cpu": 32}
MOST_BYTES: Final = {"cuda": 8 << 30, "cpu": 64 << 20}
FREE_SHARE: Final = 0.25
LITTLE: Final = 0.5
"""Of the sets that a device without other jobs has room for."""
ORIGINALS: Final = 4


def stocked_bench(session: Session, finding: Finding) -> Bench:
    """Both kernels with equal contents in their sets. Raises RunnerTrouble, BadData or SharingFailed."""
    return _stocked(session, finding, session.candidate, session.reference)


def bench_of_reference(session: Session, finding: Finding) -> Bench:
    """The reference alone, on the inputs of `stocked_bench`. Raises RunnerTrouble, BadData or SharingFailed."""
    assert session.reference is not None
    return _stocked(session, finding, session.reference, None)


def _stocked(session: Session, finding: Finding, first: HostedKernel, second: HostedKernel | None) -> Bench:
    source = input_source(session, finding.plan)
    draws = _draws(session, finding, source)
    count = how_many(session, draws[0])
    seed = session.seeds.timing(finding.number, ORIGINALS)
    freshener = Freshener(_origins(source, draws), session.device, seed)
    bench = Bench(
        _timed(first, draws[0], count, session.device),
        _timed(second, draws[0], count, session.device) if second is not None else None,
        freshener,
        session.device,
        seed,
        warm=session.request.evaluation.cache == "warm",
    )
    _bind(bench, freshener, finding)
    return bench


def _bind(bench: Bench, freshener: Freshener, finding: Finding) -> None:
    bench.fill()
    for kernel in bench.kernels:
        kernel.bind(finding.number)
    _await_bound(bench, freshener, finding)


def _await_bound(bench: Bench, freshener: Freshener, finding: Finding) -> None:
    """Inputs that somebody made may not bear that elements change places (a matrix to be factorised, say)."""
    first, *others = reversed(bench.kernels)
    try:
        first.bound()
    except RunnerFailed:
        with contextlib.suppress(RunnerFailed):
            for kernel in others:
                kernel.bound()
        freshener.swaps = False
        bench.fill()
        for kernel in bench.kernels:
            kernel.bind(finding.number)
        first.bound()
    for kernel in others:
        kernel.bound()


def _draws(session: Session, finding: Finding, source: InputSource) -> list[TrialInputs]:
    """One example where the contract says how each element is drawn, else several originals."""
    contract = source.contract
    tensors = [arg.tensor for arg in contract.input_tensors] if contract is not None else [None]
    plain = all(tensor is not None and Origin((), tensor).elementwise is not None for tensor in tensors)
    wanted = 1 if plain or source.pinned else ORIGINALS
    seeds = (session.seeds.timing(finding.number, number) for number in range(wanted))
    return [source.draw(seed, first=False) for seed in seeds]


def _origins(source: InputSource, draws: Sequence[TrialInputs]) -> list[Origin]:
    contract = source.contract
    origins = []
    for place, _ in enumerate(draws[0].candidate.tensors):
        tensor = contract.input_tensors[place].tensor if contract is not None else None
        literal = tensor is not None and isinstance(tensor.content, TensorData)
        origins.append(
            Origin(
                [inputs.candidate.tensors[place] for inputs in draws],
                None if literal else tensor,
                changes=place in draws[0].may_change,
            )
        )
    return origins


def _timed(hosted: HostedKernel, example: TrialInputs, count: int, device: torch.device) -> TimedKernel:
    inputs = example.reference if hosted.role == "reference" else example.candidate
    plan = SetsPlan(
        inputs,
        hosted.output_metas(),
        sorted(example.may_change),
        count,
        hosted.output_beginnings(device),
    )
    return TimedKernel(hosted, plan)


def how_many(session: Session, example: TrialInputs) -> int:
    """As many as bursts of the fastest kernels can use, and memory allows."""
    kind = session.device.type
    kernels = 2 if session.reference is not None else 1
    one = max(example.candidate.nbytes + session.candidate.returned_bytes, 1) * kernels
    if kind == "cpu":
        return _sets(kind, one, MOST_BYTES[kind])
    free, total = (int(size * FREE_SHARE) for size in torch.cuda.mem_get_info(session.device))
    count = _sets(kind, one, free)
    if count < _sets(kind, one, total) * LITTLE:
        session.lacked_memory = True
    return count


def _sets(kind: str, one_bytes: int, room_bytes: int) -> int:
    return max(FEWEST_SETS, min(MOST_SETS[kind], min(room_bytes, MOST_BYTES[kind]) // one_bytes))
