"""Columns of text for pipes: aligned, nothing cut, no colours."""

from collections.abc import Iterable, Sequence


def plain_columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A line for the header and for each row, columns two blanks apart."""
    table = [tuple(name.upper() for name in header), *map(tuple, rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
