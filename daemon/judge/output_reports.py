"""What is known of a workload's outputs over all trials: the worst comparison of each, in words and figures."""

from __future__ import annotations

from collections.abc import Sequence

from kbd.daemon.judge.compare import Comparison
from kbd.outbox.correctness import Correctness, OutputReport, ToleranceReport, WorstElement


class OutputReports:
    """Collects comparisons by the name of their output."""

    def __init__(self) -> None:
        self.names: Sequence[str] = ()
        self._worst: dict[str, Comparison] = {}
        self._problems: dict[str, str] = {}

    def note(self, name: str, comparison: Comparison) -> None:
        """Keep it if it is worse than what is known."""
        known = self._worst.get(name)
        if known is None or _badness(comparison) > _badness(known):
            self._worst[name] = comparison

    def reject(self, name: str, comparison: Comparison) -> str:
        """Keep it as the one that decided; returns what is wrong with it."""
        self._worst[name] = comparison
        self._problems[name] = describe(name, comparison)
        return self._problems[name]

    def correctness(self, trials: int, extra_trials: int, oracle: str) -> Correctness:
        """The part of the result."""
        outputs = tuple(
            _output_report(name, self._worst.get(name), self._problems.get(name)) for name in self.names
        )
        return Correctness(trials=max(trials, 1), extra_trials=extra_trials, oracle=oracle, outputs=outputs)


def describe(name: str, comparison: Comparison) -> str:
    """One sentence with the worst element."""
    text = (
        f"{name}: {comparison.mismatched} of {comparison.elements} elements "
        f"({comparison.mismatched / comparison.elements:.2%}) are outside the tolerance"
    )
    if comparison.worst is None:
        return text
    return (
        f"{text}; worst at {list(comparison.worst)}: expected {comparison.expected:.9g}, "
        f"found {comparison.found:.9g} "
        f"(atol {comparison.tolerance.atol:.3g}, rtol {comparison.tolerance.rtol:.3g})"
    )


def _badness(comparison: Comparison) -> tuple[float, float]:
    return 1 - comparison.matched_ratio, comparison.max_abs_error or 0.0


def _output_report(name: str, comparison: Comparison | None, problem: str | None) -> OutputReport:
    if comparison is None:
        return OutputReport(name=name, problem=problem)
    return OutputReport(
        name=name,
        max_abs_error=comparison.max_abs_error,
        max_rel_error=comparison.max_rel_error,
        matched_ratio=comparison.matched_ratio,
        tolerance=ToleranceReport(atol=comparison.tolerance.atol, rtol=comparison.tolerance.rtol),
        worst=_worst_element(comparison),
        problem=problem,
    )


def _worst_element(comparison: Comparison) -> WorstElement | None:
    if comparison.worst is None or comparison.expected is None or comparison.found is None:
        return None
    return WorstElement(index=comparison.worst, expected=comparison.expected, found=comparison.found)
