"""Trees of values as a runner may send them; whatever pack makes is one."""

import json

import pytest
import torch

from kbd.daemon.executor.channel import BadFrame, decode
from kbd.daemon.executor.packed_tree import MAX_DEPTH, MAX_NODES, check_tree
from kbd.daemon.executor.runner_protocol import FromRunner
from kbd.daemon.runner.values import MAX_DEPTH as DEPTH_OF_VALUES
from kbd.daemon.runner.values import pack


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, 2.5, "text", True],
        (1, (2, [3])),
        {"a": {"b": [float("nan"), float("-inf")]}, (1, "x"): None, 2: torch.float16, float("inf"): 1},
        [torch.ones(2), {"y": torch.ones(3)}],
    ],
)
def test_what_was_packed_passes(value):
    tree, tensors = pack(value)
    check_tree(json.loads(json.dumps(tree)), len(tensors))


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: (value,), lambda value: {"k": value}])
def test_so_does_the_deepest_value(wrap):
    value: object = 1
    for _ in range(DEPTH_OF_VALUES):
        value = wrap(value)
    check_tree(pack(value)[0], 0)


def deep(depth):
    tree: object = 1
    for _ in range(depth):
        tree = [tree]
    return tree


@pytest.mark.parametrize(
    "tree",
    [
        {"tensor": 0},
        {"tensor": -1},
        {"tensor": True},
        {"float": "1.5"},
        {"float": ["nan"]},
        {"dict": [1]},
        {"dict": [[1, 2, 3]]},
        {"dict": [[[1], 2]]},
        {"dict": [[{"dict": []}, 2]]},
        {"dict": [[{"tuple": [[1]]}, 2]]},
        {"tuple": 1},
        {"dtype": "x" * 33},
        {},
        {"tuple": [], "float": "nan"},
        float("nan"),
        1 << 64,
        deep(MAX_DEPTH + 1),
        [0] * MAX_NODES,
    ],
    ids=lambda tree: str(tree)[:30],
)
def test_what_pack_never_makes(tree):
    with pytest.raises(ValueError, match=r".+"):
        check_tree(tree, 0)


def test_a_forged_tree_is_a_bad_frame():
    frame = {"kind": "ran", "values": {"tree": {"dict": [[[], 1]]}}}
    with pytest.raises(BadFrame, match="a list as a key of a dict"):
        decode(FromRunner, json.dumps(frame).encode())
