from pathlib import Path

import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.formats.v1 import read_v1
from kbd.inbox.manifest import JobManifest

GOLDEN = Path(__file__).parent / "golden" / "v1.json"
PAYLOAD = {
    "ref_code": "class Model: pass\ndef get_inputs(): return []\n",
    "custom_code": "from torch.utils.cpp_extension import load_inline\nclass ModelNew: pass\n",
    "num_trials": 20,
}


def read(document):
    return read_v1(document, default_id="legacy", folder=None)


def test_a_payload_reads_as_recorded():
    manifest = read(PAYLOAD)
    assert manifest == JobManifest.model_validate_json(GOLDEN.read_text())
    assert manifest.reference is not None
    assert (manifest.reference.kernel_type, manifest.candidate.kernel_type) == ("torch", "torch_cuda")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"ref_code": ""}, "/ref_code"),
        ({"custom_code": "  \n"}, "/custom_code"),
        ({"num_trials": 0}, "/num_trials"),
        ({"num_trial": 5}, "/num_trial"),
        ({"custom_code": None}, "/custom_code"),
    ],
)
def test_mistakes_point_into_the_payload(change, pointer):
    with pytest.raises(InvalidJob) as caught:
        read({**PAYLOAD, **change})
    assert [problem.pointer for problem in caught.value.problems] == [pointer]
