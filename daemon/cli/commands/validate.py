"""`kbd validate`: whether files are valid jobs, without a spool or a daemon."""

import sys
from pathlib import Path

import click

from kbd.daemon.cli.help_page import PageCommand


@click.command("validate", cls=PageCommand)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--json", "as_json", is_flag=True, help="Findings as one JSON document, for editors and scripts."
)
def command(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check jobs and hand nothing in; print what each one is.

    Every problem of every file is shown, with the line it is on, and the command ends with 6 if there is any.
    It reads what the daemon would read: a FILE is a manifest (.yaml, .yml, .json) or a job folder. Of data files
    (.npy, .safetensors) it looks at the headers, and says what a judge would: shapes and dtypes that are not those
    of the contract.
    """
    from kbd.daemon.cli.findings import examine, print_as_json, print_as_text

    findings = [examine(path) for path in files]
    sys.exit(print_as_json(findings) if as_json else print_as_text(findings))
