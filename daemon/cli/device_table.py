"""Devices as a table, and as a document for programs.

The snapshot that they come from may have been written by another version, so everything in it is optional.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kbd.daemon.cli.plain_columns import plain_columns
from kbd.daemon.cli.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION: Final = 1
COLUMNS: Final = ("key", "name", "kind", "arch", "state", "job", "problem", "since")
_COLOURS: Final = {"free": "green", "busy": "cyan", "examined": "yellow", "out": "red"}


def device_document(devices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All that is known of each device; null: nothing."""
    return {
        "schema_version": SCHEMA_VERSION,
        "devices": [{name: device.get(name) for name in COLUMNS} for device in devices],
    }


def print_devices(devices: Sequence[Mapping[str, Any]], console: "Console") -> None:
    """A table on a terminal, else aligned columns with nothing cut."""
    rows = [tuple(_cell(device.get(name)) for name in COLUMNS) for device in devices]
    if console.is_terminal:
        _print_table(rows, console)
        return
    for line in plain_columns(COLUMNS, rows):
        console.print(line, soft_wrap=True)


def _print_table(rows: Sequence[tuple[str, ...]], console: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, expand=False)
    for name in COLUMNS:
        table.add_column(name, overflow="fold")
    for row in rows:
        colour = _COLOURS.get(row[COLUMNS.index("state")], "")
        table.add_row(*(Text(cell, style=colour) for cell in row))
    console.print(table)


def _cell(value: object) -> str:
    return "-" if value is None else one_line(str(value))
