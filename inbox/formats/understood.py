"""A job as kbd has understood it, whatever form its user gave it: `{manifest: …}`, what `kbd rerun` delivers."""

from collections.abc import Mapping
from typing import Final

from kbd.inbox.errors import InvalidJob, Problem
from kbd.inbox.folder_files import FolderFiles
from kbd.inbox.formats.native import build_manifest
from kbd.inbox.manifest import JobManifest
from kbd.inbox.plain_values import shown
from kbd.inbox.validation import below

KEY: Final = "manifest"


def is_understood(document: Mapping[str, object]) -> bool:
    """Whether the document is of this form."""
    return KEY in document


def read_understood(
    document: Mapping[str, object], *, default_id: str, folder: FolderFiles | None
) -> JobManifest:
    """The manifest that it holds, under the id of its delivery. Raises InvalidJob."""
    manifest = document[KEY]
    if len(document) > 1 or not isinstance(manifest, Mapping):
        found = ", ".join(sorted(map(str, document))) if len(document) > 1 else shown(manifest)
        raise InvalidJob([Problem("", "wrong value", f"{{{KEY}: …}} and nothing beside it", found)])
    fields = {name: value for name, value in manifest.items() if name != "id"}
    try:
        return build_manifest(fields, [], default_id=default_id, folder=folder)
    except InvalidJob as error:
        raise InvalidJob([*below(f"/{KEY}", error.problems)]) from None
