"""What ends the comparison of a workload.

Wrong               the candidate ran, and what it returned is wrong
ReferenceUnusable   the reference ran, and nothing can be compared with what it gave
"""

from __future__ import annotations

from kbd.outbox.report import ErrorReport
from kbd.outbox.verdict import EvaluationStatus


class Wrong(Exception):
    """The candidate ran, and what it returned is wrong."""

    def __init__(self, status: EvaluationStatus, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.report = ErrorReport(type=status.value, message=message, hint=hint)

    def explained(self, circumstances: str, hint: str) -> Wrong:
        """The same with what was special about the trial in front; its own hint is kept where it has one."""
        return Wrong(self.status, f"{circumstances}: {self.report.message}", self.report.hint or hint)


class ReferenceUnusable(Exception):
    """The reference ran and gave nothing that could be compared; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "return the outputs") -> None:
        super().__init__(message)
        self.hint = hint
