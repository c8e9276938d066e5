"""The JSON Schema of a manifest as people write it.

The model of a job is what is left after files were read and the id was taken from the file's name; what people
write says less of the one and more of the other.
"""

from typing import Any

from kbd.inbox.manifest import JobManifest


def job_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a native manifest, `source_file` and everything optional included."""
    schema = JobManifest.model_json_schema()
    schema["required"] = ["candidate"]
    kernel = schema["$defs"]["KernelCode"]
    # The contract belongs to the job; a KernelBench pair leaves the types open.
    del kernel["properties"]["io"], kernel["required"]
    kernel["properties"]["source_file"] = {
        "description": "in a job folder: the file that holds the source, in place of source_code",
        "title": "Source File",
        "type": "string",
    }
    kernel["oneOf"] = [{"required": ["source_code"]}, {"required": ["source_file"]}]
    return schema
