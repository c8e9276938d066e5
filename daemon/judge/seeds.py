"""Seeds: drawn by the judge, secret until the result is published, and reproducible from one number."""

from __future__ import annotations

import secrets

import numpy as np

MAX_SEED = (1 << 63) - 1


class Seeds:
    """All seeds of a job, derived from its one (numpy's SeedSequence, O'Neill's seed_seq mixing).

    The constructors' seed is known to the candidate, because equal layers must get equal weights; the seeds
    of inputs cannot be derived from it.
    """

    def __init__(self, job_seed: int | None) -> None:
        self.job = secrets.randbelow(MAX_SEED) if job_seed is None else job_seed

    @property
    def constructors(self) -> int:
        """For the constructors of both kernels."""
        return self._derive(0)

    def trial(self, workload: int, number: int) -> int:
        """For the inputs of one correctness trial."""
        return self._derive(1, workload, number)

    def plan(self, workload: int) -> int:
        """For the order of a workload's trials."""
        return self._derive(3, workload)

    def timing(self, workload: int, number: int) -> int:
        """For one input set of the timing."""
        return self._derive(2, workload, number)

    def _derive(self, *path: int) -> int:
        sequence = np.random.SeedSequence(self.job, spawn_key=path)
        high, low = (int(word) for word in sequence.generate_state(2, np.uint32))
        return (high << 32 | low) & MAX_SEED
