"""Names in a spool: which a job or an owner may have, which are ignored, how odd ones are written."""

import os
import re
from urllib.parse import quote

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What the name of a job or an owner matches from end to end."""

MANIFEST_SUFFIXES = (".yaml", ".yml", ".json")
JOB_FOLDER_SUFFIX = ".job"
JOB_DOCUMENTS = ("job.yaml", "job.yml", "job.json")

_IGNORED_SUFFIXES = (".tmp", ".part", "~", ".swp")
_PLAIN_NAME_LIMIT = 160
_PLAIN_NAME = re.compile(rf"(?!\.)[A-Za-z0-9._%-]{{1,{_PLAIN_NAME_LIMIT}}}")
_DIGEST_DIGITS = 16


def is_ignored(name: str) -> bool:
    """Whether a name is one of those that clients, editors and file systems use for what is not finished."""
    return name.startswith(".") or name.endswith(_IGNORED_SUFFIXES)


def is_owner(name: str) -> bool:
    """Whether a folder of this name at the top of the inbox is an owner's, not a delivery."""
    is_job = name.endswith((*MANIFEST_SUFFIXES, JOB_FOLDER_SUFFIX))
    return NAME_PATTERN.fullmatch(name) is not None and not is_job


def job_name(file_name: str) -> str | None:
    """NAME of `NAME.yaml`, `NAME.job` (of other names: all of it); None where no job may be called that."""
    for suffix in (*MANIFEST_SUFFIXES, JOB_FOLDER_SUFFIX):
        if file_name.endswith(suffix):
            file_name = file_name.removesuffix(suffix)
            break
    return file_name if NAME_PATTERN.fullmatch(file_name) else None


def plain_name(name: str) -> str:
    """A name in ASCII that is safe on every screen and file system, for a name of any bytes.

    Names that a job or an owner may have stay as they are; other bytes become `%XX`; a very long name is cut
    and ends in a digest, so that `NAME.reason.json` still fits.
    """
    raw = os.fsencode(name)
    plain = quote(raw, safe="._-").replace("~", "%7E")
    if plain.startswith("."):
        plain = "%2E" + plain[1:]
    if len(plain) <= _PLAIN_NAME_LIMIT:
        return plain
    import hashlib  # hardly ever needed, and every command imports this module

    digest = hashlib.sha256(raw).hexdigest()[:_DIGEST_DIGITS]
    return f"{plain[: _PLAIN_NAME_LIMIT - _DIGEST_DIGITS - 1]}-{digest}"


def kept_plain(name: str) -> str:
    """The same for a name that may be plain already, which is kept: what was escaped once reads as it was told.

    Different names may become one.
    """
    return name if _PLAIN_NAME.fullmatch(name) else plain_name(name)
