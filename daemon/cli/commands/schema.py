"""`kbd schema`: the JSON Schema of what people write and read."""

import json

import click

from kbd.daemon.cli.help_page import PageCommand


@click.command("schema", cls=PageCommand)
@click.argument("what", type=click.Choice(["job", "result", "control"]), default="job")
def command(what: str) -> None:
    """Print the JSON Schema (draft 2020-12) of a job, a result or a control request.

    Editors complete and check manifests with it. It tells what text alone can tell; `kbd validate` knows more.
    """
    click.echo(json.dumps(_schema(what), indent=2))


def _schema(what: str) -> dict[str, object]:
    """Only what is asked for is imported."""
    if what == "job":
        from kbd.inbox.job_schema import job_schema

        schema = job_schema()
    elif what == "result":
        from kbd.outbox.result import JobResult

        schema = JobResult.model_json_schema(mode="serialization")
    else:
        from kbd.inbox.control import ControlRequest

        schema = ControlRequest.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": f"kbd {what}"}
