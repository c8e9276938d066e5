"""The list of `kbd backends` for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kbd.daemon.cli.page_line import Line, print_line
from kbd.daemon.cli.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from kbd.daemon.kernel_types import KernelType


def print_backends(kernel_types: Sequence["KernelType"], console: "Console") -> None:
    """One line for each kernel type and device kind; on a terminal what is missing is folded beside them."""
    width = max(len(one.kernel_type) for one in kernel_types)
    for one in kernel_types:
        for place, kind in enumerate(one.missing):
            name = one.kernel_type if place == 0 else ""
            print_line(_line(f"{name:<{width}}", kind, one), console)


def _line(name: str, kind: str, one: "KernelType") -> Line:
    from rich.text import Text

    missing = one.missing[kind]
    said = Text.assemble(("available", "green") if missing is None else (one_line(missing), "yellow"))
    if one.plug_in and name.strip():
        said.append(f"  (plug-in {one.location})", "dim")
    return Line(Text.assemble((name, "bold"), f"  {kind:<4}  "), said)
