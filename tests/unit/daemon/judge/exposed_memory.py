"""Memory of a runner's that a judge can read by itself, in one process."""

import itertools

import torch

from kbd.daemon.executor.runner_protocol import Exposure


class ExposedMemory:
    """Memory in which a FakeKernel leaves one tensor a launch, as its runner tells; also its borrower.

    `late`: of a burst's outputs, all but those of its first launch get there only when somebody calls `finish`.
    """

    def __init__(self, form, *, reuse=False, late=False):
        self._form = form
        self._step = 0 if reuse else -(-form.nbytes // 16) * 16
        self._late = late
        self._owed = []
        self.places = []

    def prepare(self, bursts):
        numbers = itertools.count()
        self.places = [[next(numbers) * self._step for _ in burst] for burst in bursts]
        count = next(numbers)
        self.memory = torch.zeros(count * self._step + self._form.nbytes, dtype=torch.uint8)
        return Exposure(handles=("it",), places=[[(0, place) for place in burst] for burst in self.places])

    def burst(self, index, returned):
        for number, pair in enumerate(zip(self.places[index], returned, strict=True)):
            if self._late and number:
                self._owed.append(pair)
            else:
                self._leave(*pair)

    def finish(self):
        for pair in self._owed:
            self._leave(*pair)
        self._owed = []

    def _leave(self, place, tensor):
        self.memory[place : place + tensor.nbytes] = tensor.contiguous().view(torch.uint8)

    def borrow(self, handles):
        return [self.memory for _ in handles]

    def give_back(self):
        pass
