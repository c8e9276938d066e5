"""A result as a client gets it: the document, and the few fields that programs branch on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kbd.inbox.client.errors import UnreadableResult

_PASSED = "passed"


@dataclass(frozen=True, slots=True)
class ReceivedResult:
    """The verdict on one job. `document` is all of `outbox/ID.json` (fields: docs/results.md)."""

    document: Mapping[str, Any]

    @classmethod
    def from_json(cls, content: bytes) -> "ReceivedResult":
        """Read a published result, of this version of kbd or of a newer one. Raises UnreadableResult."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise UnreadableResult(f"expected a result in JSON, found something else: {error}") from error
        if not isinstance(document, dict):
            raise UnreadableResult(f"expected a result, found a JSON {type(document).__name__}")
        missing = [name for name in ("job_id", "status") if not isinstance(document.get(name), str)]
        if missing:
            raise UnreadableResult(f"expected a result with {' and '.join(missing)}, found none")
        return cls(document)

    @property
    def job_id(self) -> str:
        """Whose it is."""
        return str(self.document["job_id"])

    @property
    def status(self) -> str:
        """The verdict, such as `passed`, `incorrect_output`, `timeout`."""
        return str(self.document["status"])

    @property
    def passed(self) -> bool:
        """Whether the candidate is right (of its speed, see `speedup`)."""
        return self.status == _PASSED

    @property
    def blame(self) -> str | None:
        """Whose fault it is; `device` and `harness` say nothing about the candidate, so give no reward for them."""
        return self.document.get("blame")

    @property
    def speedup(self) -> float | None:
        """Reference time by candidate time; None where nothing could be claimed."""
        return self.document.get("speedup")

    @property
    def significant(self) -> bool:
        """Whether the speed-up is more than noise."""
        return bool(self.document.get("significant"))

    @property
    def message(self) -> str | None:
        """What went wrong, for people and for models to read; None where nothing did."""
        error = self.document.get("error")
        return error.get("message") if isinstance(error, dict) else None

    @property
    def manifest_sha256(self) -> str | None:
        """Of which bytes it is; None where they could not be read."""
        return self.document.get("manifest_sha256")
