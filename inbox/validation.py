"""From plain values to models, and from pydantic's errors to problems a user can act on."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from kbd.inbox.allowance import allowance
from kbd.inbox.dtypes import OTHER_NAMES
from kbd.inbox.errors import InvalidJob, Problem, ProblemsFound, pointer_to
from kbd.inbox.plain_values import MAX_PROBLEMS, shown

Model = TypeVar("Model", bound=BaseModel)

_KEY_STEP = "[key]"
_LONGEST_TYPO = 256
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "a number less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_pattern_mismatch": "text like {pattern}",
}


class StrictModel(BaseModel):
    """Base of everything a user may write: frozen, no unknown fields, no conversions, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def validate(model: type[Model], document: object) -> Model:
    """The model of a loaded document. Raises InvalidJob naming every problem at once.

    The document goes through JSON, where a list may become a tuple and a name an enum, but nothing else is
    converted; so a manifest reads the same from a user's file and from the database.
    """
    try:
        with allowance():
            return model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise InvalidJob(problems_of(error, model)) from None


def construct(model: type[Model], **fields: Any) -> Model:
    """Build a model from parts that are models already. Raises InvalidJob instead of pydantic's error."""
    try:
        return model(**fields)
    except ValidationError as error:
        raise InvalidJob(problems_of(error, model)) from None


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """Pydantic's errors as problems, in the order of the model, at most MAX_PROBLEMS."""
    problems: dict[Problem, None] = {}
    for details in error.errors(include_url=False):
        problems.update(dict.fromkeys(_problems_of_one(details, model)))
        if len(problems) >= MAX_PROBLEMS:
            break
    return tuple(problems)[:MAX_PROBLEMS]


def collect(checks: Iterable[Problem | None]) -> None:
    """Raise ProblemsFound with the problems among `checks`, at most MAX_PROBLEMS. For validators of models."""
    found = (problem for problem in checks if problem is not None)
    if problems := list(islice(found, MAX_PROBLEMS)):
        raise ProblemsFound(problems)


def below(prefix: str, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems of a part, with pointers of the whole."""
    return tuple(replace(problem, pointer=prefix + problem.pointer) for problem in problems)


def relocated(problems: Iterable[Problem], places: Mapping[str, str]) -> tuple[Problem, ...]:
    """The problems with pointers moved from a prefix in `places` to its replacement; the first match wins."""
    return tuple(replace(problem, pointer=_moved(problem.pointer, places)) for problem in problems)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …?` when a known name is close."""
    if len(name) > _LONGEST_TYPO:
        return None
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else None


def _moved(pointer: str, places: Mapping[str, str]) -> str:
    for old, new in places.items():
        if pointer == old or pointer.startswith(f"{old}/"):
            return new + pointer.removeprefix(old)
    return pointer


def _problems_of_one(details: ErrorDetails, model: type[BaseModel]) -> Iterator[Problem]:
    location, kind, found = details["loc"], details["type"], details["input"]
    if location and location[-1] == _KEY_STEP and kind != "extra_forbidden":  # a mistake in the key itself
        location = location[:-1]
    context = details.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, ProblemsFound):
        yield from below(pointer_to(*location), cause.problems)
    elif kind == "extra_forbidden":
        yield _unknown_field(location, model)
    elif kind == "missing":
        yield _missing_field(location, model)
    elif kind in _EXPECTED:
        expected = _EXPECTED[kind].format_map(context)
        hint = _hint(kind, expected, found)
        yield Problem(pointer_to(*location), "wrong value", expected, shown(found), hint)
    else:
        yield Problem(pointer_to(*location), details["msg"], found=shown(found))


def _hint(kind: str, expected: str, found: object) -> str | None:
    if kind == "string_type" and isinstance(found, bool | int | float):
        return "quote it: unquoted, YAML reads numbers, and yes, no, on and off, as no text"
    if kind in ("literal_error", "enum") and isinstance(found, str):
        known = [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]
        return _other_name(found, known) or did_you_mean(found, known)
    if kind in ("list_type", "tuple_type") and isinstance(found, bool | int | float | str):
        return f"write it in brackets: [{found}]"
    if found is None:
        return "give a value, or leave the field out"
    if isinstance(found, str) and kind in ("int_type", "float_type"):
        return "write a plain decimal number without quotes"
    return "write true or false" if kind == "bool_type" else None


def _other_name(found: str, known: Sequence[str]) -> str | None:
    """For element types as other programs call them."""
    meant = found.lower().removeprefix("torch.")
    meant = OTHER_NAMES.get(meant, meant)
    return f"write {meant}" if meant in known else None


def _missing_field(location: Sequence[str | int], model: type[BaseModel]) -> Problem:
    name = str(location[-1])
    owner = _model_at(model, location[:-1])
    field = None if owner is None else owner.model_fields.get(name)
    expected = None if field is None else field.description
    return Problem(pointer_to(*location), "a required field is missing", expected, hint=f"add {name}")


def _unknown_field(location: Sequence[str | int], model: type[BaseModel]) -> Problem:
    name = str(location[-1])
    owner = _model_at(model, location[:-1])
    if owner is None:
        return Problem(pointer_to(*location), "unknown field", hint="remove it")
    known = list(owner.model_fields)
    hint = did_you_mean(name, known) or "remove it"
    return Problem(pointer_to(*location), "unknown field", f"one of {', '.join(known)}", name, hint)


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that a field path leads to; keys of mappings and indices of lists are passed over."""
    here: type[BaseModel] | None = model
    for step in location:
        if here is not None and isinstance(step, str) and step in here.model_fields:
            here = _model_in(here.model_fields[step].annotation)
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        if (found := _model_in(part)) is not None:
            return found
    return None
