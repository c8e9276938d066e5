"""How long references take alone: one that this judge has heard need not be heard again for the next job."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import Final

from kbd.daemon.executor.protocol import Evaluate, WorkloadPlan

KEPT: Final = 1024


class AloneTimes:
    """The least that was heard of each reference on this judge's device; of so many that were asked for last."""

    def __init__(self, kept: int = KEPT) -> None:
        self._known: OrderedDict[str, float] = OrderedDict()
        self._kept = kept

    def of(self, key: str) -> float | None:
        """Microseconds per launch, where it was heard."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def learn(self, key: str, launch_us: float) -> None:
        """It took so long alone."""
        self._known[key] = min(launch_us, self._known.get(key, launch_us))
        self._known.move_to_end(key)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)


def alone_key(request: Evaluate, plan: WorkloadPlan, method: str) -> str:
    """Names the same reference on inputs that are drawn alike, timed in the same way."""
    assert request.reference is not None
    what = request.reference.model_dump(mode="json"), plan.model_dump(mode="json", exclude={"candidate"})
    how = request.evaluation.cache, method
    return hashlib.sha256(json.dumps([*what, *how], sort_keys=True).encode()).hexdigest()
