"""The list of `kbd backends` for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kbd.daemon.cli.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from kbd.daemon.kernel_types import KernelType


def print_backends(kernel_types: Sequence["KernelType"], console: "Console") -> None:
    """One line for each kernel type and device kind."""
    width = max(len(one.kernel_type) for one in kernel_types)
    for one in kernel_types:
        for place, kind in enumerate(one.missing):
            name = one.kernel_type if place == 0 else ""
            console.print(_line(f"{name:<{width}}", kind, one), soft_wrap=True)


def _line(name: str, kind: str, one: "KernelType") -> "Text":
    from rich.text import Text

    missing = one.missing[kind]
    line = Text.assemble((name, "bold"), f"  {kind:<4}  ")
    line.append(
        "available" if missing is None else one_line(missing), "green" if missing is None else "yellow"
    )
    if one.plug_in and name.strip():
        line.append(f"  (plug-in {one.location})", "dim")
    return line
