import base64
import copy
import json
from pathlib import Path

import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.formats.v2 import read_v2_compare, read_v2_evaluate
from kbd.inbox.manifest import JobManifest
from kbd.inbox.safe_load import load_json
from kbd.inbox.tensor_init import InitKind

HERE = Path(__file__).parent
PAYLOADS = sorted((HERE.parent / "payloads").glob("*.json"))
RELU = load_json((HERE.parent / "payloads" / "cuda_relu_activation.json").read_bytes())


def compare(document):
    return read_v2_compare(document, default_id="a", folder=None)


def changed(**changes):
    """The relu payload with values replaced at /a/b/0 given as a__b__0."""
    document = copy.deepcopy(RELU)
    for path, value in changes.items():
        *parents, last = (int(step) if step.isdigit() else step for step in path.split("__"))
        here = document
        for step in parents:
            here = here[step]
        here[last] = value
    return document


def problems(document, read=compare):
    with pytest.raises(InvalidJob) as caught:
        read(document)
    return {problem.pointer: str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_a_real_payload_reads_as_recorded(path):
    manifest = read_v2_compare(load_json(path.read_bytes()), default_id=path.stem, folder=None)
    golden = (HERE / "golden" / f"v2_{path.stem}.json").read_text()
    assert manifest == JobManifest.model_validate_json(golden)


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_a_real_payload_survives_the_database(path):
    manifest = compare(load_json(path.read_bytes()))
    assert JobManifest.model_validate_json(manifest.model_dump_json()) == manifest


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_a_real_payload_can_be_bound_for_both_kernels(path):
    manifest = compare(load_json(path.read_bytes()))
    (reference,), (candidate,) = manifest.bound_workloads("reference"), manifest.bound_workloads("candidate")
    assert reference.contract is not None
    assert candidate.contract is not None
    assert len(reference.contract.input_tensors) == len(candidate.contract.input_tensors) > 0
    assert len(candidate.contract.outputs) == 1
    assert candidate.contract.launch is not None


def test_real_payloads_are_there():
    assert len(PAYLOADS) >= 5


def test_defaults_are_those_of_the_original():
    document = {key: value for key, value in RELU.items() if key not in ("num_trials", "timeout")}
    manifest = compare(document)
    tolerance = manifest.evaluation.tolerance
    assert (tolerance.atol, tolerance.rtol) == (1e-2, 1e-2)
    assert (manifest.evaluation.num_trials, manifest.timeout) == (100, 120.0)


def test_tolerances_of_the_payload_win():
    tolerance = compare(changed(atol=0, rtol=1e-4)).evaluation.tolerance
    assert (tolerance.atol, tolerance.rtol) == (0.0, 1e-4)


def test_the_inputs_are_the_references():
    document = changed(custom_kernel__io__args__0__tensor_spec__init={"kind": "zeros"})
    manifest = compare(document)
    (workload,) = manifest.bound_workloads("candidate")
    assert workload.contract is not None
    init = workload.contract.input_tensors[0].tensor.init
    assert (init.kind, init.seed) == (InitKind.RANDN, 42)


@pytest.mark.parametrize(
    ("changes", "pointer", "text"),
    [
        (
            {"custom_kernel__io__args__0__tensor_spec__shape": [4, 4]},
            "/custom_kernel/io/args/0/tensor_spec/shape",
            "expected [2048, 2048], found [4, 4]",
        ),
        (
            {"custom_kernel__io__args__0__tensor_spec__dtype": "float16"},
            "/custom_kernel/io/args/0/tensor_spec/dtype",
            "expected float32, found float16",
        ),
        (
            {"custom_kernel__io__args__0__role": "output"},
            "/custom_kernel/io/args",
            "wrong number of input tensors",
        ),
        ({"custom_kernel__io__args__1__role": "input"}, "/custom_kernel/io/args", "no output to judge"),
        ({"custom_kernel__io__launch__block": {"x": 2048}}, "/custom_kernel/io/launch/block/x", "1 to 1024"),
        ({"custom_kernel__io__launch": None}, "/custom_kernel/io/launch/grid", "needs a grid"),
        ({"custom_kernel__io": None}, "/ref_kernel/io/launch/grid", "needs a grid"),
        ({"custom_kernel__kernel_type": "Cuda"}, "/custom_kernel/kernel_type", "text like"),
        ({"ref_kernel__source_code": ""}, "/ref_kernel/source_code", "the source is empty"),
        (
            {"ref_kernel__io__args__0__tensor_spec__shape": None},
            "/ref_kernel/io/args/0/tensor_spec/shape",
            "a list",
        ),
        ({"num_trials": 0}, "/num_trials", "at least 1"),
        ({"timeout": "x"}, "/timeout", "a number"),
        ({"atol": -1}, "/atol", "at least 0"),
        ({"num_trails": 5}, "/num_trails", "did you mean num_trials?"),
        ({"ref_kernel__io__args__0__tensor_spec__shape": ["M", "N"]}, "/workloads", "M, N"),
    ],
)
def test_mistakes_point_into_the_payload(changes, pointer, text):
    found = problems(changed(**changes))
    assert pointer in found
    assert text in found[pointer]


def test_a_missing_kernel():
    assert problems({"ref_kernel": RELU["ref_kernel"]}).keys() == {"/custom_kernel"}


TORCH = {"kernel_type": "torch", "source_code": "class Model: pass"}
WITH_INPUTS = {**TORCH, "source_code": "class Model: pass\ndef get_inputs(): return []"}


def test_a_reference_that_makes_its_inputs_needs_no_contract():
    manifest = compare({"ref_kernel": WITH_INPUTS, "custom_kernel": RELU["custom_kernel"]})
    assert manifest.io is None
    assert manifest.candidate.io is not None


def test_the_only_contract_is_the_jobs():
    manifest = compare({"ref_kernel": TORCH, "custom_kernel": RELU["custom_kernel"]})
    assert manifest.io is not None
    assert manifest.contract_for("candidate") == manifest.contract_for("reference") == manifest.io
    bad = copy.deepcopy({"ref_kernel": TORCH, "custom_kernel": RELU["custom_kernel"]})
    del bad["custom_kernel"]["io"]["launch"]["block"]
    assert problems(bad).keys() == {"/custom_kernel/io/launch/block"}


def test_a_candidate_without_a_contract_gets_the_references():
    manifest = compare({"ref_kernel": RELU["ref_kernel"], "custom_kernel": TORCH})
    assert manifest.contract_for("candidate") == manifest.io


def test_parameters_that_an_init_does_not_use_are_ignored():
    init = {"kind": "randn", "seed": 1, "mean": None, "low": 0.0, "high": 1.0, "fill_value": 0.0}
    manifest = compare(changed(ref_kernel__io__args__0__tensor_spec__init=init))
    found = manifest.io.args[0].tensor_spec.init
    assert (found.kind, found.seed, found.low) == (InitKind.RANDN, 1, None)


def test_literal_data_brings_its_shape_and_dtype():
    data = {
        "data_b64": base64.b64encode(bytes(12)).decode(),
        "dtype": "int32",
        "shape": [3],
        "compress": "none",
    }
    io = {"args": [{"name": "x", "type": "tensor", "tensor_spec": {"shape": [], "data": data}}]}
    manifest = read_v2_evaluate({"kernel": {**TORCH, "io": io}}, default_id="a", folder=None)
    spec = manifest.io.args[0].tensor_spec
    assert (spec.shape, spec.dtype) == ((3,), "int32")


def test_evaluate_measures_the_candidate_alone():
    payload = {"kernel": RELU["custom_kernel"], "num_trials": 7, "timeout": 9}
    manifest = read_v2_evaluate(payload, default_id="a", folder=None)
    golden = (HERE / "golden" / "v2_evaluate.json").read_text()
    assert manifest == JobManifest.model_validate_json(golden)
    assert manifest.reference is None
    assert manifest.candidate.io is None


def test_mistakes_in_an_evaluate_payload():
    payload = json.loads(json.dumps({"kernel": RELU["custom_kernel"], "atol": 1}))
    del payload["kernel"]["io"]["launch"]["grid"]

    def read(document):
        return read_v2_evaluate(document, default_id="a", folder=None)

    assert problems(payload, read).keys() == {"/atol"}
    del payload["atol"]
    assert problems(payload, read).keys() == {"/kernel/io/launch/grid"}


REDUCTION = (
    "__global__ void f(float* x) {{ extern __shared__ {declared}[]; s[threadIdx.x] = x[0]; x[0] = s[0]; }}"
)


@pytest.mark.parametrize(
    ("declared", "launch", "expected"),
    [
        ("float s", {"grid": 1, "block": {"x": 256, "y": 1, "z": 1}}, 1024),
        ("double s", {"grid": 1, "block": [32, 4]}, 1024),
        ("__align__(16) unsigned char s", {"grid": 1, "block": 64}, 64),
        ("float4 s", {"grid": 1, "block": 64}, 1024),
        ("T s", {"grid": 1, "block": 64}, 512),
        ("float s", {"grid": 1, "block": 256, "shared_mem_bytes": 32}, 32),
    ],
)
def test_dynamic_shared_memory_that_is_not_said_is_one_element_per_thread(declared, launch, expected):
    args = [
        {"name": "x", "type": "tensor", "role": "inout", "tensor_spec": {"shape": [4], "dtype": "float32"}}
    ]
    kernel = {
        "kernel_type": "cuda",
        "source_code": REDUCTION.format(declared=declared),
        "io": {"args": args, "launch": launch},
    }
    manifest = read_v2_evaluate({"kernel": kernel}, default_id="j", folder=None)
    assert manifest.io.launch.shared_mem_bytes == expected
