import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.inbox.errors import InvalidJob
from kbd.inbox.formats.registry import FORMATS, parse_manifest
from kbd.inbox.manifest import JobManifest

MODULE = "class Model: pass\ndef get_inputs(): return []\n"
TORCH = {"kernel_type": "torch", "source_code": MODULE}

DOCUMENTS = {
    "V2 compare": {"ref_kernel": TORCH, "custom_kernel": TORCH},
    "V2 evaluate": {"kernel": TORCH},
    "V1": {"ref_code": MODULE, "custom_code": MODULE},
    "KernelBench pair": {"reference": {"source_code": MODULE}, "candidate": {"source_code": MODULE}},
    "understood": {"manifest": {"reference": TORCH, "candidate": TORCH}},
    "kbd": {"reference": TORCH, "candidate": TORCH},
}


def test_every_form_is_tested():
    assert list(DOCUMENTS) == [form.name for form in FORMATS]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_read_by_its_own_form(name):
    first = next(form for form in FORMATS if form.recognises(DOCUMENTS[name]))
    assert first.name == name
    manifest = parse_manifest(DOCUMENTS[name], default_id="a")
    assert manifest.candidate.source_code == MODULE
    assert JobManifest.model_validate_json(manifest.model_dump_json()) == manifest


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ({}, ["/candidate"]),
        ({"custom_kernel": TORCH}, ["/ref_kernel"]),
        ({"ref_code": MODULE}, ["/custom_code"]),
        ({"candidat": TORCH}, ["/candidate", "/candidat"]),
        ([], [""]),
        ("text", [""]),
        (None, [""]),
    ],
)
def test_what_no_form_can_read(document, pointers):
    with pytest.raises(InvalidJob) as caught:
        parse_manifest(document, default_id="a")
    assert [problem.pointer for problem in caught.value.problems] == pointers


FIELDS = (
    "ref_kernel custom_kernel kernel ref_code custom_code reference candidate io args",
    "workloads launch grid name type tensor_spec shape data init",
    "kind source_file source_code kernel_type metadata axes value role x",
)
KEYS = st.sampled_from([name for line in FIELDS for name in line.split()])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**65)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "M", "tensor", "int", "cuda", "triton", "torch", "output", "randn", MODULE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_document_is_read_or_refused(document):
    manifest = None
    with contextlib.suppress(InvalidJob):
        manifest = parse_manifest(document, default_id="a")
    if manifest is not None:
        assert JobManifest.model_validate_json(manifest.model_dump_json()) == manifest
