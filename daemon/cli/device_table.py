"""Devices as a table, and as a document for programs.

The snapshot that they come from may have been written by another version, so everything in it is optional.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kbd.daemon.cli.plain_columns import plain_columns
from kbd.daemon.cli.printable import one_line
from kbd.daemon.cli.terminal import ruled_table
from kbd.daemon.cli.wording import ago

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
    if console.is_terminal:
        _print_table(devices, console)
        return
    rows = [tuple(_cell(device.get(name)) for name in COLUMNS) for device in devices]
    for line in plain_columns(COLUMNS, rows):
        console.print(line, soft_wrap=True)


def _print_table(devices: Sequence[Mapping[str, Any]], console: "Console") -> None:
    """With ages for moments; a problem takes what room is left, and as many lines as it needs."""
    from rich.text import Text

    table = ruled_table()
    for name in COLUMNS:
        table.add_column(name, overflow="fold", no_wrap=name in ("kind", "arch", "state", "since"))
    for device in devices:
        cells = {name: Text(_cell(device.get(name))) for name in COLUMNS}
        cells["state"].stylize(_COLOURS.get(cells["state"].plain, ""))
        cells["since"] = Text(one_line(ago(_cell(device.get("since")))), style="dim")
        table.add_row(*cells.values())
    console.print(table)


def _cell(value: object) -> str:
    return "-" if value is None else one_line(str(value))
