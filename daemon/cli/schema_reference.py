"""The references of jobs and results, as `docs/` holds them: made from the models, so they cannot drift.

python -m kbd.daemon.cli.schema_reference job > docs/job-reference.md
python -m kbd.daemon.cli.schema_reference result > docs/result-reference.md
"""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

Schema = Mapping[str, Any]

_MODULE: Final = "kbd.daemon.cli.schema_reference"

TITLES: Final = {"job": "The job, field by field", "result": "The result, field by field"}
OPENINGS: Final = {
    "job": (
        "What a manifest may say. `kbd schema job` prints the same as JSON Schema, for editors; `kbd validate` "
        "checks a file. [kernels.md](kernels.md) has an example of each kernel type."
    ),
    "result": (
        "What `outbox/ID.json` says. `kbd schema result` prints the same as JSON Schema. [results.md](results.md) "
        "explains the fields that matter most, with examples."
    ),
}
_ANYTHING: Final = "JsonValue"
_ATTRIBUTE: Final = re.compile(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_LIMITS: Final = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} entries",
    "maxProperties": "at most {} entries",
    "pattern": "like `{}`",
}


def page(what: str) -> str:
    """The whole page about `job` or `result`, as Markdown."""
    schema = _schema(what)
    lines = [
        f"# {TITLES[what]}",
        "",
        f"Made by `python -m kbd.daemon.cli.schema_reference {what}`; a test compares the two.",
    ]
    lines += ["", *textwrap.wrap(OPENINGS[what], 116, break_long_words=False, break_on_hyphens=False)]
    has_defaults = what == "job"  # a result has all of its fields
    lines += _model(what, schema, has_defaults=has_defaults)
    for name in _in_order_of_use(schema):
        lines += _model(name, schema["$defs"][name], has_defaults=has_defaults)
    return "\n".join(lines) + "\n"


def _schema(what: str) -> Schema:
    if what == "job":
        from kbd.inbox.job_schema import job_schema

        return job_schema()
    from kbd.outbox.result import result_schema

    return result_schema()


def _in_order_of_use(schema: Schema) -> list[str]:
    """The models that others refer to, each after the first that does."""
    found: dict[str, None] = {}
    waiting = list(_references(schema.get("properties", {})))
    while waiting:
        name = waiting.pop(0)
        if name not in found and name != _ANYTHING:
            found[name] = None
            waiting += _references(schema["$defs"][name])
    return list(found)


def _references(part: object) -> Iterator[str]:
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _model(name: str, schema: Schema, *, has_defaults: bool) -> Iterator[str]:
    said = _in_json(schema.get("description", ""))
    meanings = {found[1]: " ".join(found[2].split()) for found in _ATTRIBUTE.finditer(said)}
    yield from ("", f"## {name}", "")
    first = said.split("\n\n")[0].strip()
    if first and name not in TITLES:
        yield from (*textwrap.wrap(" ".join(first.split()), 116), "")
    if "enum" in schema:
        yield f"One of {_values(schema['enum'])}."
        return
    default = ("default",) if has_defaults else ()
    yield from _row("field", "type", *default, "meaning")
    yield from _row(*["---"] * (3 + len(default)))
    for field, facts in schema.get("properties", {}).items():
        meaning = _in_json(facts.get("description", "")) or meanings.get(field, "")
        standard = (_default(field, facts, schema.get("required", [])),) if has_defaults else ()
        yield from _row(f"`{field}`", _type(facts), *standard, meaning)


def _row(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _in_json(text: str) -> str:
    """Docstrings speak of Python's None, readers of manifests know null."""
    return re.sub(r"\bNone\b", "null", text)


def _type(facts: Schema) -> str:
    """A type in words, such as `list of Workload, at most 64 entries`."""
    return ", ".join([_kind(facts), *_limits(facts)])


def _kind(facts: Schema) -> str:
    if "$ref" in facts:
        name = facts["$ref"].rpartition("/")[2]
        if name == _ANYTHING:
            return "anything"
        return f"[{name}](#{name.lower()})"
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if alternatives in facts:
            return " or ".join(dict.fromkeys(map(_type, facts[alternatives])))
    if "const" in facts:
        return _values([facts["const"]])
    if "enum" in facts:
        return _values(facts["enum"])
    return _of_type(facts)


def _of_type(facts: Schema) -> str:
    kind = facts.get("type", "anything")
    if kind == "array":
        entries = [facts["items"]] if "items" in facts else facts.get("prefixItems", [])
        return f"list of {' and '.join(dict.fromkeys(map(_type, entries)))}" if entries else "list"
    if kind == "object":
        inner = facts.get("additionalProperties")
        return f"mapping to {_type(inner)}" if isinstance(inner, Mapping) else "mapping"
    return {"string": "text", "number": "number", "boolean": "true or false"}.get(kind, str(kind))


def _limits(facts: Schema) -> Iterator[str]:
    for name, words in _LIMITS.items():
        if name in facts:
            yield words.format(facts[name])


def _values(values: "list[Any]") -> str:
    return ", ".join(f"`{_shown(value)}`" for value in values)


def _default(field: str, facts: Schema, required: Sequence[str]) -> str:
    if field in required:
        return "needed"
    default = facts.get("default")
    if isinstance(default, Mapping | list) and default:
        return "see there" if isinstance(default, Mapping) else _values(default)
    return f"`{_shown(default)}`" if "default" in facts else "optional"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


@click.command()
@click.argument("what", type=click.Choice(list(TITLES)))
def main(what: str) -> None:
    """Print one reference."""
    click.echo(page(what), nl=False)


if __name__ == "__main__":
    main()
