"""JSON as users write it (RFC 8259), without the additions of Python's parser."""

import json
import re
from collections import Counter

from kbd.inbox.errors import InvalidJob, Problem, TruncatedDocument
from kbd.inbox.plain_values import DuplicateKeys, endless_number, too_deep

_CUT_LITERAL = re.compile(r"(?:t|tr|tru|f|fa|fal|fals|n|nu|nul|-|\.|[eE][-+]?|\\?u?[0-9a-fA-F]{0,4})\Z")


def parse_json(text: str) -> object:
    """The value of a JSON text; duplicate keys are marked for `problems_in`, which must look at it next.

    Raises InvalidJob for what is no JSON, TruncatedDocument where the text ends in the middle.
    """
    try:
        return json.loads(text, object_pairs_hook=_mapping, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = Problem("", f"no JSON: {error.msg}", hint=f"see column {error.colno}", line=error.lineno)
        raise (TruncatedDocument if _is_cut(text, error) else InvalidJob)([problem]) from None
    except RecursionError:
        raise InvalidJob([too_deep("")]) from None
    except ValueError:  # Python converts no more than 4300 digits
        raise InvalidJob([endless_number()]) from None


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) == len(pairs):
        return mapping
    counts = Counter(key for key, _ in pairs)
    marked = DuplicateKeys(mapping)
    marked.duplicates = tuple(key for key, count in counts.items() if count > 1)
    return marked


def _refuse_constant(name: str) -> float:
    """`NaN`, `Infinity` and `-Infinity`: kept as numbers, so that `problems_in` can say where they are."""
    return float(name)


def _is_cut(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the parser failed because the text ended, rather than because of what it says."""
    rest = text[error.pos :].strip()
    return not rest or error.msg.startswith("Unterminated string") or bool(_CUT_LITERAL.match(rest))
