"""Manifests as kbd has understood them."""

import json

import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.formats.registry import parse_manifest

TENSOR = {"name": "x", "type": "tensor", "tensor_spec": {"shape": [4], "dtype": "float32"}}
OUTPUT = {**TENSOR, "name": "y", "role": "output"}
KERNEL = {"kernel_type": "torch", "source_code": "def f(x): return x"}
DOCUMENTS = [
    {"candidate": KERNEL, "io": {"args": [TENSOR]}, "labels": {"step": "1"}},
    {"reference": KERNEL, "candidate": KERNEL},
    {
        "ref_kernel": {**KERNEL, "io": {"args": [TENSOR]}},
        "custom_kernel": {**KERNEL, "io": {"args": [TENSOR, OUTPUT]}},
        "num_trials": 3,
    },
    {"ref_code": "class Model: pass", "custom_code": "class ModelNew: pass", "num_trials": 4},
]


def again(manifest):
    return parse_manifest({"manifest": json.loads(manifest.model_dump_json())}, default_id="again")


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_every_form_survives(document):
    manifest = parse_manifest(document, default_id="first")
    assert again(manifest) == manifest.model_copy(update={"id": "again"})


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"manifest": 3}, ""),
        ({"manifest": {}, "id": "x"}, ""),
        ({"manifest": {"candidate": {**KERNEL, "kernel_typ": 1}}}, "/manifest/candidate/kernel_typ"),
        ({"manifest": {}}, "/manifest/candidate"),
    ],
)
def test_what_is_none(document, pointer):
    with pytest.raises(InvalidJob) as error:
        parse_manifest(document, default_id="x")
    assert error.value.problems[0].pointer == pointer
