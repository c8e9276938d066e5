"""A group of commands that are imported when they are asked for.

`kbd status` must not pay for what only `kbd demo` needs. A new command is a new file in
`kbd.daemon.cli.commands` and a line in the table of `kbd.daemon.cli.main`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import rich_click as click


class LazyGroup(click.RichGroup):
    """Commands by name, each in the module `package.NAME`, under the name `command`."""

    def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: the order in which a newcomer meets them."""
        del ctx
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None for a name that is not in the table."""
        del ctx
        module = self._lazy.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(module).command
        return command
