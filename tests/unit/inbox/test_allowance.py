"""What a manifest of a megabyte may cost: refused, or read within limits that no contract can multiply."""

import base64
import json
import zlib

import pytest

from kbd.inbox.allowance import MAX_EXPRESSION_CHARS, MAX_LITERAL_BYTES
from kbd.inbox.contract import MAX_AXES
from kbd.inbox.errors import InvalidJob
from kbd.inbox.formats.registry import parse_manifest
from kbd.inbox.kernel_code import MAX_METADATA
from kbd.inbox.safe_load import load_document

KERNEL = {"kernel_type": "torch", "source_code": "x = 1"}


def refused(match, **fields):
    with pytest.raises(InvalidJob, match=match) as caught:
        parse_manifest({"candidate": KERNEL, **fields}, default_id="job")
    assert len(str(caught.value)) < 100_000
    return caught.value.problems


def tensor(name, **spec):
    return {"name": name, "type": "tensor", "tensor_spec": spec}


def test_compressed_data_is_bounded_altogether():
    half = base64.b64encode(zlib.compress(bytes(MAX_LITERAL_BYTES // 2))).decode()
    spec = {
        "dtype": "uint8",
        "shape": [MAX_LITERAL_BYTES // 2],
        "data": {"data_b64": half, "compress": "zlib"},
    }
    parse_manifest(
        {"candidate": KERNEL, "io": {"args": [tensor(f"x{n}", **spec) for n in range(2)]}}, default_id="job"
    )
    problems = refused("too much literal data", io={"args": [tensor(f"x{n}", **spec) for n in range(3)]})
    assert [problem.pointer for problem in problems] == ["/io/args/2/tensor_spec/data/data_b64"]


def test_expressions_are_bounded_altogether():
    long = "1" + "+0" * 100
    count = MAX_EXPRESSION_CHARS // len(long) + 1
    args = [tensor(f"x{n}", shape=[long] * 32) for n in range(count // 32 + 1)]
    refused("too many expressions", io={"args": args})


def test_what_is_bound_for_every_workload_is_bounded():
    workloads = [{"name": f"w{n}", "axes": {}} for n in range(256)]
    args = [tensor(f"x{n}", shape=[1]) for n in range(33)]
    refused(
        "too large for so many workloads: expected at most 8192 arguments",
        io={"args": args},
        workloads=workloads,
    )
    parse_manifest({"candidate": KERNEL, "io": {"args": args[:32]}, "workloads": workloads}, default_id="job")


def test_data_is_sent_to_the_judge_once_for_every_workload():
    data = {"data_b64": base64.b64encode(bytes(1 << 19)).decode()}
    args = [tensor("x", dtype="uint8", shape=[1 << 19], data=data)]
    workloads = [{"name": f"w{n}", "axes": {}} for n in range(13)]
    refused("at most 8388608 characters of literal data", io={"args": args}, workloads=workloads)


def test_axes_are_bounded():
    args = [tensor(f"x{n}", shape=[f"A{n}_{d}" for d in range(32)]) for n in range(MAX_AXES // 32 + 1)]
    refused("too many axes", io={"args": args})


def test_metadata_is_bounded():
    refused(
        "at most 256 entries", candidate={**KERNEL, "metadata": {f"k{n}": 1 for n in range(MAX_METADATA + 1)}}
    )


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@pytest.mark.parametrize("entry", ["1", "1e999"])
def test_a_key_of_half_a_megabyte_is_not_repeated_for_what_lies_below_it(suffix, entry):
    below = "[" + f"{entry}, " * 90_000 + "1]"
    key = json.dumps("k" * (1 << 19))
    text = f"{{{key}: {below}}}" if suffix == ".json" else f"? {key}\n: {below}"
    try:
        problems = refused("unknown field", **load_document(text, suffix).value)
    except InvalidJob as error:
        problems = error.problems
    assert sum(len(str(problem)) for problem in problems) < 100_000


def test_half_of_a_surrogate_pair_in_a_key_is_named_in_a_way_that_can_be_written():
    with pytest.raises(InvalidJob, match="half of a surrogate pair") as caught:
        load_document(r'{"manifest": 1, "\ud800": 2}', ".json")
    assert str(caught.value).encode()
