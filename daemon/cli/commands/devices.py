"""`kbd devices`: what the daemon's devices are doing."""

import json

import click

from kbd.daemon.cli.help_page import PageCommand
from kbd.daemon.cli.place import Place, place_options


@click.command("devices", cls=PageCommand)
@place_options
@click.option("--json", "as_json", is_flag=True, help="The devices as one JSON document.")
def command(place: Place, *, as_json: bool) -> None:
    """Show the devices of the daemon: what each is doing and since when, and why it is out of service.

    It is read from the spool, so it works from any host that mounts it; the times are those of the daemon's host.
    It ends with 4 when no daemon works on the spool.
    """
    from kbd.daemon.cli.device_table import device_document, print_devices
    from kbd.daemon.cli.errors import CommandFailed
    from kbd.daemon.cli.exit_codes import ExitCode
    from kbd.daemon.cli.presence import DaemonWatch, Presence
    from kbd.daemon.cli.terminal import results

    place.spool()
    sighting = DaemonWatch(place).look()
    if sighting.presence is Presence.ABSENT:
        raise CommandFailed(
            f"no daemon works on {place.spool_root}, so nothing is known of devices. Start one: kbd run",
            ExitCode.NO_DAEMON,
        )
    devices = sighting.snapshot.devices if sighting.snapshot is not None else ()
    if as_json:
        click.echo(json.dumps(device_document(devices), indent=2))
    else:
        print_devices(devices, results())
