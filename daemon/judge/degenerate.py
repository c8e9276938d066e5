"""Whether a job could be passed without computing anything.

Some answers need no kernel, or hardly one: zeros, one constant, an input handed back, what came out the time
before, the largest elements with zeros between them. They are judged like a candidate's, with the job's own
tolerance. One that passes every trial shows that the job tests little: its verdict stands, and says `weak_test`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from kbd.daemon.judge.compare import compare, surely_fails
from kbd.daemon.judge.expected import ExpectedOutput

ZEROS = "zeros"
CONSTANT = "one constant"
INPUT = "an input handed back"
BEFORE = "what came out for another input"
LARGEST = "the largest elements alone"

Guess = Callable[["DegenerateAnswers", ExpectedOutput, int], Iterator[torch.Tensor]]


class DegenerateAnswers:
    """The answers that have passed all trials so far."""

    def __init__(self) -> None:
        self._alive: dict[str, Guess] = {ZEROS: _zeros, CONSTANT: _constant, INPUT: _input, BEFORE: _before}
        self._alive[LARGEST] = _largest
        self._judged: set[str] = set()
        self.inputs: Sequence[torch.Tensor] = ()
        self.before: Sequence[torch.Tensor] = ()

    @property
    def passing(self) -> tuple[str, ...]:
        """Those that would have passed as the candidate has; none before they were judged."""
        return tuple(name for name in self._alive if name in self._judged)

    def judge(self, outputs: Sequence[ExpectedOutput], inputs: Sequence[torch.Tensor]) -> None:
        """One trial on fresh inputs: whoever fails it is out."""
        self.inputs = inputs
        for name, guess in list(self._alive.items()):
            if name == BEFORE and not self.before:
                continue
            self._judged.add(name)
            if not all(self._passes(output, guess, place) for place, output in enumerate(outputs)):
                del self._alive[name]
        self.before = [output.tensor for output in outputs]

    def _passes(self, output: ExpectedOutput, guess: Guess, place: int) -> bool:
        return any(_is_accepted(output, answer) for answer in guess(self, output, place))


def _is_accepted(output: ExpectedOutput, answer: torch.Tensor) -> bool:
    """Hardly any guess is, and most are wrong in the first elements."""
    if surely_fails(output.tensor, answer, output.tolerance, output.required_matched_ratio):
        return False
    return output.accepts(compare(output.tensor, answer, output.tolerance))


def _zeros(answers: DegenerateAnswers, output: ExpectedOutput, place: int) -> Iterator[torch.Tensor]:
    del answers, place
    yield torch.zeros_like(output.tensor)


def _largest(answers: DegenerateAnswers, output: ExpectedOutput, place: int) -> Iterator[torch.Tensor]:
    """Zeros for most elements, because the tolerance follows from a few large ones; not where all may be zeros."""
    del answers, place
    tensor = output.tensor
    if not tensor.dtype.is_floating_point:
        return
    values = tensor.float() if tensor.dtype.itemsize == 1 else tensor
    size = values.abs()
    small, nothing = size <= output.tolerance.atol, size == 0
    if not bool(small.all()) and int((small & ~nothing).sum()) > int((~small).sum()):
        yield values.masked_fill(small, 0).to(tensor.dtype)


def _constant(answers: DegenerateAnswers, output: ExpectedOutput, place: int) -> Iterator[torch.Tensor]:
    """The mean of what is expected; of integers the first one."""
    del answers, place
    tensor = output.tensor
    if tensor.numel() < 2:
        return  # a single number is no constant
    if not tensor.dtype.is_floating_point:
        yield tensor.reshape(-1)[:1].expand(tensor.numel()).reshape(tensor.shape)
        return
    narrow = tensor.dtype.itemsize == 1
    mean = (tensor.float() if narrow else tensor).mean(dtype=torch.float64).to(tensor.dtype)
    yield mean.expand(tensor.shape)


def _input(answers: DegenerateAnswers, output: ExpectedOutput, place: int) -> Iterator[torch.Tensor]:
    del place
    for tensor in answers.inputs:
        if (tensor.shape, tensor.dtype) == (output.tensor.shape, output.tensor.dtype):
            yield tensor


def _before(answers: DegenerateAnswers, output: ExpectedOutput, place: int) -> Iterator[torch.Tensor]:
    before = answers.before[place] if place < len(answers.before) else None
    if before is not None and before.shape == output.tensor.shape:
        yield before
