"""YAML as users write it, without the parts that are dangerous or that nobody means.

Anchors, aliases, tags and several documents are refused from the stream of events, before anything is built.
A text is parsed once, and its values are made of the events at once: nodes would take three times as long.
Plain scalars are read as YAML 1.1 does, except where that surprises: dates, base-60 numbers (`1:30`) and
leading zeros (`010`) stay text, and `1e-5` is a number as it is everywhere else.
"""

import re
from collections.abc import Iterator
from itertools import islice

import yaml

from kbd.inbox.errors import MAX_TEXT_CHARS, InvalidJob, Problem, TruncatedDocument, pointer_to
from kbd.inbox.plain_values import MAX_DEPTH, MAX_PROBLEMS, duplicate_key, endless_number, too_deep

MAX_EVENTS = 200_000

_TOO_LONG_HINT = "put large values into files of a NAME.job folder"

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0b[01_]*[01]|0x[0-9a-fA-F_]*[0-9a-fA-F])\Z")
_FLOAT = re.compile(
    r"""(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
         |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
         |[-+]?\.(?:inf|Inf|INF)
         |\.(?:nan|NaN|NAN))\Z""",
    re.VERBOSE,
)
_STARTS_OF_NUMBERS = frozenset("-+0123456789.")
_WORDS = {
    **{form: True for word in ("yes", "true", "on") for form in (word, word.capitalize(), word.upper())},
    **{form: False for word in ("no", "false", "off") for form in (word, word.capitalize(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}


def parse_yaml(text: str) -> object:
    """The value of the one document in a YAML text.

    Raises InvalidJob for what is no YAML or is refused, TruncatedDocument where the text ends in the middle.
    """
    try:
        return _Builder(text).build()
    except yaml.YAMLError as error:
        raise _no_yaml(error, text) from None
    except ValueError:  # Python converts no more than 4300 digits
        raise InvalidJob([endless_number()]) from None


def check_yaml_end(text: str) -> None:
    """Raise as `parse_yaml` where a text is no YAML or ends too early, in a third of the time; nothing is built."""
    has_document = False
    try:
        for event in islice(events_of(text), MAX_EVENTS):
            has_document |= isinstance(event, yaml.DocumentStartEvent)
    except yaml.YAMLError as error:
        raise _no_yaml(error, text) from None
    if not has_document:
        raise _empty()


class _Builder:
    """Makes the value of one text from its events, and finds what cannot stay.

    What is refused (`_refused`) is worse than what is wrong (`_wrong`): the rest of the text is not looked at.
    """

    def __init__(self, text: str) -> None:
        self._events = events_of(text)
        self._path: list[str | int] = []
        self._refused: list[Problem] = []
        self._wrong: list[Problem] = []
        self._count = self._documents = 0

    def build(self) -> object:
        value: object = None
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.NodeEvent):
                value = self._value(event)
        if self._refused:
            raise InvalidJob(self._refused[:MAX_PROBLEMS])
        if not self._documents:
            raise _empty()
        if self._wrong:
            raise InvalidJob(self._wrong[:MAX_PROBLEMS])
        return value

    def _next(self) -> yaml.Event:
        """The next event. Raises InvalidJob where there are too many of them, or of what is refused."""
        event = next(self._events)
        self._count += 1
        if self._count > MAX_EVENTS:
            problem = Problem(
                "", f"more than {MAX_EVENTS} YAML events", hint=_TOO_LONG_HINT, line=line_of(event)
            )
            raise InvalidJob([*self._refused, problem])
        if type(event) is yaml.ScalarEvent and event.anchor is None and event.tag is None:
            return event  # nearly all of a long text
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
        if refused := _refused(event, self._documents):
            self._refused.append(refused)
            if len(self._refused) >= MAX_PROBLEMS:
                raise InvalidJob(self._refused)
        return event

    def _value(self, event: yaml.Event) -> object:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.AliasEvent):
            return None  # refused
        if len(self._path) >= MAX_DEPTH:
            raise InvalidJob([*self._refused, too_deep("", line_of(event))])
        return self._mapping() if isinstance(event, yaml.MappingStartEvent) else self._sequence()

    def _sequence(self) -> list[object]:
        entries: list[object] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            entries.append(self._below(len(entries), event))
        return entries

    def _mapping(self) -> dict[str, object]:
        mapping: dict[str, object] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event)
            if isinstance(key, str) and key in mapping:
                self._note(duplicate_key(pointer_to(*self._path), key, line_of(event)))
            value = self._below(key if isinstance(key, str) else "", self._next())
            if isinstance(key, str):
                mapping.setdefault(key, value)
        return mapping

    def _key(self, event: yaml.Event) -> str | None:
        """A key, or None for what cannot be one."""
        key = self._below("", event)
        if isinstance(key, str):
            return key
        place, line = pointer_to(*self._path), line_of(event)
        if isinstance(key, list | dict):
            hint = "write a plain name before the colon"
            self._note(Problem(place, "a key must be text", None, "a list or a mapping", hint, line))
        elif isinstance(event, yaml.ScalarEvent):
            text = event.value[:MAX_TEXT_CHARS]
            found = f"{text!r}, which YAML reads as {_KINDS[type(key)]}"
            where = place + pointer_to(text)
            self._note(Problem(where, "a key must be text", None, found, f'quote it: "{text}"', line))
        return None

    def _below(self, step: str | int, event: yaml.Event) -> object:
        self._path.append(step)
        value = self._value(event)
        self._path.pop()
        return value

    def _note(self, problem: Problem) -> None:
        if len(self._wrong) < MAX_PROBLEMS:
            self._wrong.append(problem)


_KINDS = {type(None): "null", bool: "bool", int: "int", float: "float"}


def events_of(text: str) -> Iterator[yaml.Event]:
    """What libyaml reads, one thing after the other. Raises yaml.YAMLError."""
    return iter(yaml.parse(text, Loader=yaml.CSafeLoader))


def _scalar(event: yaml.ScalarEvent) -> object:
    """What a scalar means: text in quotes is text."""
    text = str(event.value)
    if not event.implicit[0]:
        return text
    if text[:1] not in _STARTS_OF_NUMBERS:
        return _WORDS.get(text, text)
    if _INT.match(text):
        return int(text.replace("_", ""), 0)
    if _FLOAT.match(text):
        return float(re.sub(r"\.(?=[in])", "", text.replace("_", "").lower()))
    return text


def _refused(event: yaml.Event, documents: int) -> Problem | None:
    anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
    if isinstance(event, yaml.AliasEvent):
        message, hint = f"an alias (*{anchor}) is not allowed", "write the value out"
    elif anchor:
        message, hint = f"an anchor (&{anchor}) is not allowed", "remove it"
    elif tag:
        message, hint = f"a tag ({tag}) is not allowed", "remove it"
    elif documents > 1 and isinstance(event, yaml.DocumentStartEvent):
        message, hint = "several documents in one file", "put each job into a file of its own"
    else:
        return None
    return Problem("", message, hint=hint, line=line_of(event))


def line_of(event: yaml.Event) -> int:
    """The line on which it begins, from 1."""
    mark = event.start_mark
    return 1 if mark is None else mark.line + 1


def _advice(what: str, mark: yaml.Mark, text: str) -> str:
    """For the two mistakes that everybody makes."""
    line = text.split("\n")[mark.line : mark.line + 1]
    if line and "\t" in line[0][: mark.column + 1]:
        return "; indent by blanks, YAML takes no tabs"
    if "block" in what or "not allowed" in what:
        return "; all entries of a list or mapping begin in the same column"
    return ""


def _empty() -> TruncatedDocument:
    return TruncatedDocument([Problem("", "the document is empty", hint="write the job into it")])


def _no_yaml(error: yaml.YAMLError, text: str) -> InvalidJob:
    if not isinstance(error, yaml.MarkedYAMLError):
        what = " ".join(str(error).split())
        return InvalidJob([Problem("", f"no YAML: {what}", hint="remove control characters")])
    mark = error.problem_mark or error.context_mark
    what = " ".join(filter(None, (error.context, error.problem))) or "syntax error"
    hint = None if mark is None else f"see column {mark.column + 1}{_advice(what, mark, text)}"
    problem = Problem("", f"no YAML: {what}", hint=hint, line=None if mark is None else mark.line + 1)
    is_cut = mark is not None and mark.index >= len(text.rstrip())
    return (TruncatedDocument if is_cut else InvalidJob)([problem])
