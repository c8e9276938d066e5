"""All forms a job's document may have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kbd.inbox.errors import InvalidJob, Problem
from kbd.inbox.folder_files import FolderFiles
from kbd.inbox.formats.kernelbench import is_pair, read_kernelbench
from kbd.inbox.formats.native import read_native
from kbd.inbox.formats.understood import is_understood, read_understood
from kbd.inbox.formats.v1 import read_v1
from kbd.inbox.formats.v2 import read_v2_compare, read_v2_evaluate
from kbd.inbox.manifest import JobManifest
from kbd.inbox.plain_values import shown


class Reader(Protocol):
    """Turns a document of one form into a manifest; raises InvalidJob."""

    def __call__(
        self, document: Mapping[str, object], *, default_id: str, folder: FolderFiles | None
    ) -> JobManifest:
        """Read `document`; `default_id` is the job's id unless it has one, `folder` holds the files it names."""


@dataclass(frozen=True, slots=True)
class Format:
    """One form: its name, how it is recognised, how it is read."""

    name: str
    recognises: Callable[[Mapping[str, object]], bool]
    read: Reader


def _has_any(*keys: str) -> Callable[[Mapping[str, object]], bool]:
    return lambda document: not document.keys().isdisjoint(keys)


FORMATS = (
    Format("V2 compare", _has_any("ref_kernel", "custom_kernel"), read_v2_compare),
    Format("V2 evaluate", _has_any("kernel"), read_v2_evaluate),
    Format("V1", _has_any("ref_code", "custom_code"), read_v1),
    Format("KernelBench pair", is_pair, read_kernelbench),
    Format("understood", is_understood, read_understood),
    Format("kbd", lambda _: True, read_native),
)
"""The first one that recognises a document reads it."""


def parse_manifest(document: object, *, default_id: str, folder: FolderFiles | None = None) -> JobManifest:
    """The manifest of a loaded document of any known form. Raises InvalidJob naming every problem."""
    if not isinstance(document, Mapping):
        hint = "write fields such as candidate: {kernel_type: …, source_code: …}"
        raise InvalidJob([Problem("", "a job is a mapping", "a mapping", shown(document), hint)])
    form = next(form for form in FORMATS if form.recognises(document))
    return form.read(document, default_id=default_id, folder=folder)
