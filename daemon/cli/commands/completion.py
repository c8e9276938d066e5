"""`kbd completion`: what a shell needs to complete commands, options and ids."""

import click

from kbd.daemon.cli.help_page import PageCommand

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=PageCommand)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options and ids of jobs.

    bash: `kbd completion bash > ~/.local/share/bash-completion/completions/kbd`. zsh: put `source <(kbd completion
    zsh)` into ~/.zshrc, after compinit. fish: `kbd completion fish > ~/.config/fish/completions/kbd.fish`.
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    if completer is None:
        raise click.UsageError(f"this version of click completes nothing for {shell}")
    click.echo(completer(context.find_root().command, {}, "kbd", "_KBD_COMPLETE").source())
