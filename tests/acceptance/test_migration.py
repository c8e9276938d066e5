"""docs/migration.md: every row of its tables is so."""

import json
import re
import shutil
from pathlib import Path

import pytest

from kbd.outbox.result import JobResult

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "migration.md").read_text()

TENSOR = {"name": "x", "type": "tensor", "tensor_spec": {"shape": [64], "dtype": "float32"}}
LEGACY = {
    "ref_code": """
import torch

class Model(torch.nn.Module):
    def forward(self, x):
        return 2 * x

def get_inputs():
    return [torch.rand(64)]

def get_init_inputs():
    return []
""",
    "custom_code": """
import torch

class ModelNew(torch.nn.Module):
    def forward(self, x):
        return x + x
""",
    "num_trials": 5,
}


def rows(mark):
    """The cells of a table that follows a mark, without its head."""
    lines = PAGE.split(f"<!-- {mark} -->\n", 1)[1].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def code(cell):
    return cell.strip("`")


def alone(source):
    kernel = {"kernel_type": "torch", "source_code": source, "io": {"args": [TENSOR]}}
    return {"kernel": kernel, "num_trials": 5, "timeout": 600}


@pytest.fixture
def user(user):
    """Somebody with the request bodies that the page names."""
    user.environment["KBD_SPOOL"] = str(user.home / "spool")
    user.environment["KBD_STATE"] = str(user.home / "state")
    user.kbd("init")
    (user.home / "spool" / "inbox" / "somebody").mkdir()
    shutil.copy(REPOSITORY / "examples" / "v2_compare.json", user.home / "compare.json")
    bodies = {
        "evaluate": alone("def f(x):\n    return x + 1\n"),
        "endless": alone("import time\n\ndef f(x):\n    time.sleep(1000)\n"),
        "wrong": alone("def f(x):\n    return x\n") | {"num_trails": 5},
        "legacy": LEGACY,
    }
    for name, body in bodies.items():
        user.writes(f"{name}.json", json.dumps(body))
    return user


def test_every_feature_has_its_command(user):
    table = rows("commands")
    assert len(table) > 20
    with user.daemon():
        for feature, command, ends_with, prints in table:
            said = user.types("bash", "-c", code(command), code=int(ends_with))
            assert code(prints) in said.stdout, f"{feature}: {said.stdout}{said.stderr}"


def test_every_field_of_the_old_answer_has_its_place(user):
    user.kbd("submit", "compare.json")
    user.kbd("run", "--once", "--device", "cpu")
    old = json.loads(user.kbd("show", "compare", "--format", "v2").stdout)
    there = {f"kernel_exec_result.{name}" for name in old["kernel_exec_result"]} | set(old)
    told = {code(cell) for cell, _ in rows("answers")}
    assert there - told == {"kernel_exec_result", "pod_ip"}
    assert told <= there
    for _, place in rows("answers"):
        for name in re.findall(r"`([a-z_]+)`", place):
            assert name in JobResult.model_fields or name in ("passed", "compile_error"), place
