"""`kbd backends`: which kernel types can be judged here."""

import json

import click

from kbd.daemon.cli.help_page import PageCommand


@click.command("backends", cls=PageCommand)
@click.option("--json", "as_json", is_flag=True, help="The list as one JSON document.")
def command(*, as_json: bool) -> None:
    """List the kernel types, built in and from plug-ins, and for each device kind what is missing for it here.

    It looks at this host, not at a daemon: nothing has to run, and no device is touched. So "available" says that
    everything is installed which kernels of a type need, and not that there is a device: `kbd doctor` tells that.
    """
    from kbd.daemon.cli.backends_page import print_backends
    from kbd.daemon.cli.terminal import results
    from kbd.daemon.kernel_types import kernel_types

    found = kernel_types()
    if as_json:
        click.echo(json.dumps({"kernel_types": [one.as_document() for one in found]}, indent=2))
        return
    print_backends(found, results())
