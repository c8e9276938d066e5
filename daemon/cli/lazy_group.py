"""A group of commands that are imported when they are asked for.

`kbd status` must not pay for what only `kbd demo` needs. A new command is a new file in
`kbd.daemon.cli.commands` and a line in the table of `kbd.daemon.cli.main`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from kbd.daemon.cli.help_page import PageGroup

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class ReaderLeft(Exception):
    """Nobody reads any more what is printed. click would make an exit with 1 of it, which is a verdict here."""


class LazyGroup(PageGroup):
    """Commands by name, each in the module `package.NAME`, under the name `command`.

    `lazy`: the names and what each command does, so that the help needs none of the modules.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str], package: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: the order in which a newcomer meets them."""
        del ctx
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None for a name that is not in the table."""
        del ctx
        if cmd_name not in self._lazy:
            return None
        command: click.Command = import_module(f"{self._package}.{cmd_name}").command
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """As click does it. Raises ReaderLeft (from `--help`)."""
        with _noticing_who_left():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it. Raises ReaderLeft."""
        with _noticing_who_left():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed. Raises UsageError with what may have been meant."""
        name = args[0]
        if name not in self._lazy and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            close = " or ".join(get_close_matches(name, self._lazy, n=2))
            guess = f" Did you mean {close}?" if close else ""
            raise click.UsageError(f"there is no command {name!r}.{guess}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Commands from the table, which imports none of them, then options."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=said)
            for name, said in self._lazy.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lazy.items()))


@contextmanager
def _noticing_who_left() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderLeft from error
