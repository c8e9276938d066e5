import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.manifest import JobManifest
from kbd.inbox.validation import validate

TORCH = {"kernel_type": "torch", "source_code": "class Model: pass"}
CUDA = {"kernel_type": "cuda", "source_code": "__global__ void k(float* x, float* y, int n) {}"}
X = {"name": "x", "type": "tensor", "tensor_spec": {"shape": ["M", "N"]}}
Y = {"name": "y", "type": "tensor", "role": "output", "tensor_spec": {"shape": ["M", "N"]}}
LAUNCH = {"grid": "ceildiv(M * N, T)", "block": "T"}
T = {"name": "T", "type": "int", "value": 128}
IO = {"args": [X, Y, T], "launch": LAUNCH}
WORKLOADS = [{"name": "small", "axes": {"M": 2, "N": 64}}, {"name": "large", "axes": {"M": 64, "N": 64}}]


def document(**fields):
    full = {"id": "a", "reference": TORCH, "candidate": CUDA, "io": IO, "workloads": WORKLOADS, **fields}
    return {key: value for key, value in full.items() if value is not None}


def problems(**fields):
    with pytest.raises(InvalidJob) as caught:
        validate(JobManifest, document(**fields))
    return {problem.pointer: str(problem) for problem in caught.value.problems}


def test_the_defaults_are_those_of_the_language():
    manifest = validate(JobManifest, {"id": "a", "candidate": TORCH})
    assert manifest.model_dump(mode="json", exclude={"candidate"}) == {
        "version": 1,
        "id": "a",
        "labels": {},
        "priority": 0,
        "reference": None,
        "io": None,
        "workloads": [],
        "evaluation": {
            "num_correct_trials": 5,
            "num_trials": 100,
            "process_pairs": 1,
            "timing": "auto",
            "cache": "cold",
            "seed": None,
            "tolerance": {"atol": None, "rtol": None, "required_matched_ratio": 1.0},
            "device_metrics": {
                "enabled": False,
                "sections": ["SpeedOfLight", "Occupancy", "ComputeWorkloadAnalysis"],
            },
            "sanitizer": None,
            "mode": "full",
        },
        "device": {"kind": "auto", "name": None, "arch": None},
        "timeout": 120.0,
    }


def test_a_manifest_survives_json():
    manifest = validate(JobManifest, document(labels={"owner": "rl-loop"}, timeout=5))
    assert JobManifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_workloads_bind_both_contracts():
    manifest = validate(JobManifest, document())
    small, large = manifest.bound_workloads("candidate")
    assert (small.name, small.axes) == ("small", {"M": 2, "N": 64})
    assert small.contract is not None
    assert small.contract.launch is not None
    assert small.contract.launch.grid == (1, 1, 1)
    assert large.contract is not None
    assert large.contract.tensors[1].tensor.shape == (64, 64)
    assert manifest.bound_workloads() == manifest.bound_workloads("candidate")


def test_a_job_without_workloads_is_one_without_a_name():
    (workload,) = validate(JobManifest, {"id": "a", "candidate": TORCH}).bound_workloads()
    assert workload == (None, {}, None)


def test_a_kernels_own_contract_comes_first():
    x = {"name": "x", "type": "tensor", "tensor_spec": {"shape": [4]}}
    y = {"name": "y", "type": "tensor", "role": "output", "tensor_spec": {"shape": [4]}}
    own = {"args": [x, y], "launch": {"grid": 1, "block": 4}}
    manifest = validate(
        JobManifest, document(io={"args": [x]}, candidate={**CUDA, "io": own}, workloads=None)
    )
    assert manifest.contract_for("candidate") == manifest.candidate.io
    assert manifest.contract_for("reference") == manifest.io


@pytest.mark.parametrize(
    ("fields", "pointer", "text"),
    [
        ({"version": 2}, "/version", "expected 1"),
        ({"id": "../x"}, "/id", "text like"),
        ({"id": "x" * 129}, "/id", "text like"),
        ({"candidate": None}, "/candidate", "missing: expected the kernel under test"),
        ({"labels": {"step": 412}}, "/labels/step", "quote it"),
        ({"labels": {"a=b": "c"}}, "/labels/a=b", "text like"),
        ({"priority": 1.5}, "/priority", "a whole number"),
        ({"timeout": 0}, "/timeout", "greater than 0"),
        ({"timeout": 1e9}, "/timeout", "at most 86400"),
        ({"evaluation": {"num_trials": 0}}, "/evaluation/num_trials", "at least 1"),
        ({"evaluation": {"timing": "gpu"}}, "/evaluation/timing", "'auto', 'device' or 'as_called'"),
        ({"evaluation": {"cache": "hot"}}, "/evaluation/cache", "'cold' or 'warm'"),
        ({"evaluation": {"seed": -1}}, "/evaluation/seed", "at least 0"),
        ({"evaluation": {"sanitizer": "memchek"}}, "/evaluation/sanitizer", "did you mean memcheck"),
        ({"evaluation": {"mode": "fast"}}, "/evaluation/mode", "'full'"),
        ({"evaluation": {"tolerance": {"atol": -1}}}, "/evaluation/tolerance/atol", "at least 0"),
        (
            {"evaluation": {"tolerance": {"required_matched_ratio": 0}}},
            "/evaluation/tolerance/required_matched_ratio",
            "greater than 0",
        ),
        (
            {"evaluation": {"device_metrics": {"sections": ["--help"]}}},
            "/evaluation/device_metrics/sections/0",
            "text like",
        ),
        ({"device": {"kind": "gpu"}}, "/device/kind", "'auto', 'cuda' or 'cpu'"),
        ({"device": {"kind": "cpu", "arch": "sm_90"}}, "/device/arch", "a CPU has no such architecture"),
        ({"device": {"arch": "90"}}, "/device/arch", "text like"),
        ({"workloads": None}, "/workloads", "a size for M, N"),
        ({"workloads": [{"name": "a b", "axes": {}}]}, "/workloads/0/name", "text like"),
        ({"workloads": [WORKLOADS[0], WORKLOADS[0]]}, "/workloads/1/name", "the name is taken"),
        ({"workloads": [{"name": "a", "axes": {"M": 2}}]}, "/workloads/0/axes/N", "axis N is not bound"),
        (
            {"workloads": [{"name": "a", "axes": {"M": 2, "N": 2, "K": 2}}]},
            "/workloads/0/axes/K",
            "no contract has this axis: expected M, N",
        ),
        (
            {"workloads": [{"name": "a", "axes": {"M": 2, "N": 2, "T": 2}}]},
            "/workloads/0/axes/T",
            "bound twice: by this workload and by the integer argument",
        ),
        ({"workloads": [{"name": "a", "axes": {"M": -2, "N": 2}}]}, "/workloads/0/axes/M", "at least 0"),
        (
            {"workloads": [{"name": "a", "axes": {"M": 0, "N": 2}}]},
            "/io/launch/grid/x",
            "the grid is out of range (in workload a)",
        ),
        ({"io": None, "candidate": TORCH}, "/workloads/0/axes/M", "no axis (the job has no contract"),
        ({"io": None, "workloads": None}, "/io", "a bare kernel needs a contract"),
        ({"io": {"args": [X, Y, T]}}, "/io/launch/block", "a bare kernel needs a block"),
        (
            {"candidate": {**CUDA, "source_code": CUDA["source_code"] + "__global__ void l(int x) {}"}},
            "/candidate/metadata/kernel_name",
            "expected one of k, l",
        ),
        ({"candidates": {}}, "/candidates", "did you mean candidate"),
    ],
)
def test_refused(fields, pointer, text):
    found = problems(**fields)
    assert pointer in found
    assert text in found[pointer]


def test_a_candidate_cannot_choose_its_inputs():
    own = {
        "args": [{**X, "tensor_spec": {"shape": ["M", "N"], "init": {"kind": "zeros"}}}, Y, T],
        "launch": LAUNCH,
    }
    found = problems(candidate={**CUDA, "io": own})
    assert found.keys() == {"/candidate/io/args/0/tensor_spec"}


def test_mistakes_in_different_places_are_named_at_once():
    found = problems(
        id="?", timeout=-1, candidate={"kernel_type": "cuda"}, io={"args": [{"name": "n", "type": "int"}]}
    )
    assert found.keys() == {"/id", "/timeout", "/candidate/source_code", "/io/args/0/value"}
