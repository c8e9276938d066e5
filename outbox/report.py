"""What all parts of a result have in common, and the texts of users in them."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

MESSAGE_LIMIT_CHARS: Final = 4_096
TRACEBACK_LIMIT_CHARS: Final = 16_384
LOG_LIMIT_CHARS: Final = 132_096  # the first and last 64 KiB of what was written, and a line between them


class Report(BaseModel):
    """A part of a result: frozen, strict, without unknown fields, and without NaN (JSON has none)."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
    )


def _encodable(text: Any) -> Any:
    """Replace lone surrogates, which a user's program can put into its messages and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


def _keep_head(text: str) -> str:
    return _cut(text, MESSAGE_LIMIT_CHARS, keep_end=False)


def _keep_tail(text: str) -> str:
    return _cut(text, TRACEBACK_LIMIT_CHARS, keep_end=True)


def _cut(text: str, limit: int, *, keep_end: bool) -> str:
    """Shorten to `limit` characters, its own mark included, so that cutting twice changes nothing."""
    if len(text) <= limit:
        return text
    mark = f"[… {len(text) - limit} characters or more cut …]"
    room = limit - len(mark) - 1
    return f"{mark}\n{text[-room:]}" if keep_end else f"{text[:room]}\n{mark}"


UserText = Annotated[str, BeforeValidator(_encodable)]
"""A text that came out of a user's program."""

Message = Annotated[UserText, AfterValidator(_keep_head)]
"""A user's text of which the beginning matters; cut visibly at MESSAGE_LIMIT_CHARS."""

Traceback = Annotated[UserText, AfterValidator(_keep_tail)]
"""A user's text of which the end matters; cut visibly at TRACEBACK_LIMIT_CHARS."""


Bytes = Annotated[int, Field(ge=0, lt=1 << 63)]


class MemoryReport(Report):
    """What a shortage of memory was about, in bytes; null: not known. `limit_bytes`: what a kernel may use."""

    where: Literal["host", "device"]
    needed_bytes: Bytes | None = None
    free_bytes: Bytes | None = None
    limit_bytes: Bytes | None = None


class ErrorReport(Report):
    """What went wrong, in the words of the user's own compiler or program; never the harness's inside."""

    type: Message
    message: Message
    hint: Message | None = None
    traceback_tail: Traceback | None = None
    memory: MemoryReport | None = None


class Suspicion(Report):
    """Evidence that no honest kernel can leave: the rule that found it, and what was found."""

    rule: str = Field(min_length=1)
    evidence: Message = Field(min_length=1)


class Logs(Report):
    """What the kernels wrote to stdout and stderr. `Logs.of` cuts what is too long."""

    candidate: UserText = Field(default="", max_length=LOG_LIMIT_CHARS)
    reference: UserText = Field(default="", max_length=LOG_LIMIT_CHARS)
    truncated: bool = False

    @classmethod
    def of(cls, candidate: str = "", reference: str = "", *, truncated: bool = False) -> "Logs":
        """Keep beginning and end of each text; `truncated` says that the texts were cut before already."""
        texts = (candidate, reference)
        return cls(
            candidate=_keep_ends(candidate),
            reference=_keep_ends(reference),
            truncated=truncated or any(len(text) > LOG_LIMIT_CHARS for text in texts),
        )


def _keep_ends(text: str) -> str:
    if len(text) <= LOG_LIMIT_CHARS:
        return text
    mark = "\n[… cut …]\n"
    half = (LOG_LIMIT_CHARS - len(mark)) // 2
    return f"{text[:half]}{mark}{text[-half:]}"
