"""YAML as users write it, without the parts that are dangerous or that nobody means.

Anchors, aliases, tags and several documents are refused from the stream of events, before anything is built.
Plain scalars are read as YAML 1.1 does, except where that surprises: dates, base-60 numbers (`1:30`) and
leading zeros (`010`) stay text, and `1e-5` is a number as it is everywhere else.
"""

import contextlib
import re
from collections.abc import Iterator

import yaml

from kbd.inbox.errors import InvalidJob, Problem, TruncatedDocument, pointer_to
from kbd.inbox.plain_values import MAX_DEPTH, MAX_PROBLEMS, duplicate_key, endless_number, too_deep

MAX_EVENTS = 200_000

_TOO_LONG_HINT = "put large values into files of a NAME.job folder"

_TEXT_TAG = "tag:yaml.org,2002:str"
_NULL_TAG = "tag:yaml.org,2002:null"
_BOOL_TAG = "tag:yaml.org,2002:bool"
_INT_TAG = "tag:yaml.org,2002:int"
_FLOAT_TAG = "tag:yaml.org,2002:float"

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0b[01_]*[01]|0x[0-9a-fA-F_]*[0-9a-fA-F])\Z")
_FLOAT = re.compile(
    r"""(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
         |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
         |[-+]?\.(?:inf|Inf|INF)
         |\.(?:nan|NaN|NAN))\Z""",
    re.VERBOSE,
)
_BOOL = re.compile(r"(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)\Z")
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")


class _Loader(yaml.CSafeLoader):
    """The C SafeLoader with our own table of what plain scalars mean, and no merge keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name


_Loader.add_implicit_resolver(_BOOL_TAG, _BOOL, list("yYnNtTfFoO"))
_Loader.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver(_INT_TAG, _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(_NULL_TAG, _NULL, ["~", "n", "N", ""])


def parse_yaml(text: str) -> object:
    """The value of the one document in a YAML text.

    Raises InvalidJob for what is no YAML or is refused, TruncatedDocument where the text ends in the middle.
    """
    check_syntax(text)
    with _syntax_errors(text):
        return _Builder(text).build()


def check_syntax(text: str) -> None:
    """Raise what `parse_yaml` raises, as far as it shows without making the value: that takes most of the time."""
    with _syntax_errors(text):
        if not _check_events(text):
            raise TruncatedDocument([Problem("", "the document is empty", hint="write the job into it")])


@contextlib.contextmanager
def _syntax_errors(text: str) -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text) from None
    except yaml.YAMLError as error:
        problem = Problem("", f"no YAML: {' '.join(str(error).split())}", hint="remove control characters")
        raise InvalidJob([problem]) from None
    except ValueError:  # Python converts no more than 4300 digits
        raise InvalidJob([endless_number()]) from None


def lines_of(text: str) -> dict[str, int]:
    """The line (from 1) of every field of a YAML or JSON text, by JSON pointer; empty if no YAML.

    For text that was loaded before, so that its size and depth are known to be harmless.
    """
    try:
        root = _compose(text)
    except yaml.YAMLError:
        return {}
    if root is None:
        return {}
    return {pointer: line for pointer, _, line in _walk(root)}


class _Builder:
    """Turns the nodes of one text into values, and finds the keys that cannot stay."""

    def __init__(self, text: str) -> None:
        self._loader = _Loader(text)
        self._path: list[str | int] = []
        self._problems: list[Problem] = []

    def build(self) -> object:
        try:
            root = self._loader.get_single_node()
            if root is None:
                raise AssertionError("its events were those of a document")
            value = self._value(root)
        finally:
            self._loader.dispose()
        if self._problems:
            raise InvalidJob(self._problems[:MAX_PROBLEMS])
        return value

    def _value(self, node: yaml.Node) -> object:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._below(index, entry) for index, entry in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key, value in node.value:
            if key.tag != _TEXT_TAG:
                self._problems.append(self._bad_key(key, _line_of(key)))
            elif key.value in mapping:
                self._problems.append(duplicate_key(pointer_to(*self._path), key.value, _line_of(key)))
            else:
                mapping[key.value] = self._below(key.value, value)
        return mapping

    def _below(self, step: str | int, node: yaml.Node) -> object:
        self._path.append(step)
        value = self._value(node)
        self._path.pop()
        return value

    def _bad_key(self, key: yaml.Node, line: int) -> Problem:
        if not isinstance(key, yaml.ScalarNode):
            hint = "write a plain name before the colon"
            return Problem(
                pointer_to(*self._path), "a key must be text", None, "a list or a mapping", hint, line
            )
        kind = key.tag.rpartition(":")[2]
        found = f"{key.value!r}, which YAML reads as {kind}"
        hint = f'quote it: "{key.value}"'
        return Problem(pointer_to(*self._path, key.value), "a key must be text", None, found, hint, line)


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _check_events(text: str) -> bool:
    """Refuse what could make the document larger than its text, or stand for something else. False: it is empty."""
    problems: list[Problem] = []
    depth = documents = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader), start=1):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            raise InvalidJob([*problems, too_deep("", _line_of(event))])
        if count > MAX_EVENTS:
            hint = "put large values into files of a NAME.job folder"
            message = f"more than {MAX_EVENTS} YAML events"
            raise InvalidJob([*problems, Problem("", message, hint=hint, line=_line_of(event))])
        if not _is_plain(event) and (refused := _refused(event, documents)):
            problems.append(refused)
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise InvalidJob(problems)
    return documents > 0


def _is_plain(event: yaml.Event) -> bool:
    """Whether it is one of those that nothing can be wrong with; most are, and many jobs may wait to be read."""
    return type(event) is yaml.ScalarEvent and not event.anchor and not event.tag


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
    return Problem("", message, hint=hint, line=_line_of(event))


def _walk(root: yaml.Node) -> Iterator[tuple[str, yaml.Node, int]]:
    """Every value with its pointer and line; the line of a field is the one of its key."""
    stack = [("", root, _line_of(root))]
    while stack:
        pointer, node, line = stack.pop()
        yield pointer, node, line
        if isinstance(node, yaml.MappingNode):
            below = [
                (pointer + pointer_to(key.value), value, _line_of(key))
                for key, value in node.value
                if isinstance(key, yaml.ScalarNode)
            ]
        elif isinstance(node, yaml.SequenceNode):
            below = [
                (pointer + pointer_to(index), value, _line_of(value))
                for index, value in enumerate(node.value)
            ]
        else:
            continue
        stack.extend(reversed(below))


def _line_of(part: yaml.Event | yaml.Node) -> int:
    mark = part.start_mark
    return 1 if mark is None else mark.line + 1


def _advice(what: str, mark: yaml.Mark, text: str) -> str:
    """For the two mistakes that everybody makes."""
    line = text.split("\n")[mark.line : mark.line + 1]
    if line and "\t" in line[0][: mark.column + 1]:
        return "; indent by blanks, YAML takes no tabs"
    if "block" in what or "not allowed" in what:
        return "; all entries of a list or mapping begin in the same column"
    return ""


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> InvalidJob:
    mark = error.problem_mark or error.context_mark
    what = " ".join(filter(None, (error.context, error.problem))) or "syntax error"
    hint = None if mark is None else f"see column {mark.column + 1}{_advice(what, mark, text)}"
    problem = Problem("", f"no YAML: {what}", hint=hint, line=None if mark is None else mark.line + 1)
    is_cut = mark is not None and mark.index >= len(text.rstrip())
    return (TruncatedDocument if is_cut else InvalidJob)([problem])
