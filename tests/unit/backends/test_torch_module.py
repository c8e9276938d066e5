"""Python modules as kernels: what is called, with what, and what its author reads when there is nothing to call."""

import random
import sys

import numpy as np
import pytest
import torch

from kbd.backends.base import CompileFailed, CompileRequest, LoadContext, LoadFailed, Target
from kbd.backends.python_source import MODULE_NAME
from kbd.backends.torch_backend import BACKEND
from kbd.backends.torch_module import seed_everything, to_device
from kbd.inbox.contract import IOContract
from kbd.inbox.manifest import KernelCode
from kbd.inbox.validation import validate

CPU = torch.device("cpu")
MODEL = "class {name}(torch.nn.Module):\n    def forward(self, *args):\n        return '{name}'\n"
FUNCTION = "def {name}(*args):\n    return '{name}'\n"


@pytest.fixture(autouse=True)
def _module_is_forgotten():
    yield
    sys.modules.pop(MODULE_NAME, None)


@pytest.fixture
def load(tmp_path):
    """Compile and load a module; every one in a folder of its own."""
    numbers = iter(range(100))

    def build(source, *, role="candidate", seed=0, init_inputs=None, **metadata):
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        code = "import torch\n" + source
        kernel = KernelCode(kernel_type="torch", source_code=code, metadata=metadata)
        artifact = BACKEND.compile(CompileRequest(kernel, Target("cpu")), folder)
        return BACKEND.load(artifact, LoadContext(kernel, role, CPU, (), seed, init_inputs))

    return build


def models(*names):
    return "".join(MODEL.format(name=name) for name in names)


def functions(*names):
    return "".join(FUNCTION.format(name=name) for name in names)


# --- what is called ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "metadata", "candidate", "reference"),
    [
        (models("Model"), {}, "Model", "Model"),
        (models("ModelNew"), {}, "ModelNew", "ModelNew"),
        (models("Model", "ModelNew"), {}, "ModelNew", "Model"),
        (models("Softmax"), {}, "Softmax", "Softmax"),
        (models("Softmax") + functions("softmax"), {}, "Softmax", "Softmax"),
        (models("Model", "Other") + functions("f", "g"), {}, "Model", "Model"),
        (functions("softmax"), {}, "softmax", "softmax"),
        (functions("softmax", "_private"), {}, "softmax", "softmax"),
        (functions("softmax", "get_inputs", "get_init_inputs"), {}, "softmax", "softmax"),
        (functions("f", "g"), {"function_name": "g"}, "g", "g"),
        (models("Model", "Other"), {"class_name": "Other"}, "Other", "Other"),
        (models("Model") + functions("f"), {"function_name": "f"}, "f", "f"),
        (models("A", "B"), {"class_name": "A", "function_name": "B"}, "A", "A"),
        ("from math import sqrt\n" + functions("f"), {}, "f", "f"),
        ("Model = 3\n" + functions("f"), {}, "f", "f"),
    ],
    ids=str,
)
def test_the_entry_is_found(load, source, metadata, candidate, reference):
    # get_init_inputs of the examples takes anything and gives no list of arguments.
    given = {"init_inputs": []}
    assert load(source, role="candidate", **given, **metadata)([], []) == candidate
    assert load(source, role="reference", **given, **metadata)([], []) == reference


def test_a_method_of_any_class(load):
    source = (
        "class Plain:\n"
        "    def __init__(self, a):\n        self.a = a\n"
        "    def go(self, x):\n        return x * self.a\n"
    )
    called = load(source, init_inputs=[3], class_name="Plain", method_name="go")
    assert called([torch.ones(2)], []).tolist() == [3, 3]


def test_a_class_that_is_callable_itself(load):
    source = "class Plain:\n    def __call__(self, x):\n        return x + 1\n"
    assert load(source, class_name="Plain")([1], []) == 2


def test_nothing_records_gradients(load):
    called = load(
        "class Model(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.w = torch.nn.Parameter(torch.ones(2))\n"
        "    def forward(self, x):\n"
        "        return self.w * x\n"
    )
    assert not called([torch.ones(2)], []).requires_grad


def test_output_buffers_are_not_passed(load):
    assert load("def f(*args):\n    return len(args)\n")([1, 2], [torch.ones(1)]) == 2


# --- what authors read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "metadata", "message", "hint"),
    [
        ("x = 1\n", {}, "defines no nn.Module and no function", "define a class Model"),
        ("from math import sqrt\n", {}, "defines no nn.Module and no function", "define a class Model"),
        (models("A", "B"), {}, r"several entries \(A, B\)", "metadata.class_name"),
        (functions("g", "f"), {}, r"several entries \(f, g\)", "metadata.function_name"),
        (
            models("Model") + functions("f"),
            {"class_name": "Modle"},
            "metadata.class_name names 'Modle'.*it defines Model, f",
            "correct metadata.class_name or define Modle",
        ),
        ("x = 1\n", {"function_name": "f"}, "metadata.function_name names 'f'.*nothing callable", "define f"),
    ],
)
def test_nothing_to_call(load, source, metadata, message, hint):
    with pytest.raises(LoadFailed, match=message) as error:
        load(source, **metadata)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(x:\n    pass\n", "line 1: "),
        ("x = 1\n  y = 2\n", "line 2: unexpected indent"),
        ("return 3\n", "line 1: 'return' outside function"),
        ("x = '\0'\n", "null bytes"),
    ],
)
def test_source_that_does_not_compile(tmp_path, source, message):
    kernel = KernelCode(kernel_type="torch", source_code=source)
    with pytest.raises(CompileFailed, match=message) as error:
        BACKEND.compile(CompileRequest(kernel, Target("cpu")), tmp_path)
    assert "Error" in error.value.output
    assert str(tmp_path) not in error.value.output


def test_compiling_runs_nothing(tmp_path):
    kernel = KernelCode(kernel_type="torch", source_code="raise SystemExit('ran')\n")
    artifact = BACKEND.compile(CompileRequest(kernel, Target("cpu")), tmp_path)
    assert artifact.folder == tmp_path
    assert artifact.kernel_type == "torch"


def test_what_the_module_raises_is_raised(load):
    with pytest.raises(ZeroDivisionError):
        load("1 / 0\n")


def test_the_source_can_be_inspected(load):
    source = "import inspect\ndef f():\n    return inspect.getsource(f)\n"
    assert load(source)([], []).startswith("def f():")


# --- constructors -----------------------------------------------------------------------------------

LAYER = """
class Model(torch.nn.Module):
    def __init__(self, *args, **options):
        super().__init__()
        self.given = args, options
        self.layer = torch.nn.Linear(3, 3)
        self.dropout = __import__("random").random(), float(__import__("numpy").random.rand())
    def forward(self, x=None):
        return self.given if x is None else self.layer(x)
"""


def test_equal_seeds_give_equal_layers(load):
    x = torch.ones(3)
    first, same, other = (load(LAYER, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first([x], []), same([x], []))
    assert not torch.equal(first([x], []), other([x], []))
    assert first._call.dropout == same._call.dropout


def test_constructors_get_the_arguments_of_the_module(load):
    called = load(LAYER + "def get_init_inputs():\n    return [4, 'a']\n")
    assert called.init_inputs == [4, "a"]
    assert called([], []) == ((4, "a"), {})


def test_arguments_that_are_given_win(load):
    called = load(LAYER + "def get_init_inputs():\n    raise RuntimeError\n", init_inputs=[1])
    assert called([], []) == ((1,), {})


def test_arguments_by_name(load):
    assert load(LAYER, init_inputs=[[1, 2], {"bias": True}])([], []) == ((1, 2), {"bias": True})


def test_no_arguments_where_the_module_says_nothing(load):
    assert load(LAYER).init_inputs == []


# --- inputs -----------------------------------------------------------------------------------------


def test_inputs_of_the_module_follow_the_seed(load):
    called = load(
        "import random, numpy\n"
        "def get_inputs():\n    return [torch.rand(3), random.random(), float(numpy.random.rand())]\n"
        "def f(*args):\n    pass\n"
    )
    assert called.makes_inputs
    first, same, other = (called.make_inputs(seed) for seed in (1, 1, (1 << 63) - 1))
    assert torch.equal(first[0], same[0])
    assert first[1:] == same[1:]
    assert all(a != b for a, b in zip(first[1:], other[1:], strict=True))


def test_a_module_without_inputs(load):
    assert not load(functions("f")).makes_inputs
    assert not load("get_inputs = 3\n" + functions("f")).makes_inputs


@pytest.mark.parametrize(
    ("source", "received"),
    [
        ("def f(x, n, y):\n    return [x, n, y]\n", 3),
        ("def f(x, y):\n    return [x, y]\n", 2),
        ("def f(*args):\n    return list(args)\n", 3),
        ("def f(x, n, y, more=4):\n    return [x, n, y]\n", 3),
        ("class Model(torch.nn.Module):\n    def forward(self, x, y):\n        return [x, y]\n", 2),
        ("class Model(torch.nn.Module):\n    def forward(self, x, n, y):\n        return [x, n, y]\n", 3),
    ],
)
def test_scalars_are_left_out_where_the_signature_has_no_room(load, source, received):
    called = load(source)
    for _ in range(2):
        found = called([torch.ones(1), 5, torch.zeros(1)], [])
        assert len(found) == received
        assert isinstance(found[1], int) == (received == 3)


def test_a_scalar_that_the_signature_names_is_passed(load):
    called = load("def f(x, scale):\n    return x * scale\n")
    tensor = {"name": "x", "type": "tensor", "tensor_spec": {"shape": [1], "dtype": "float32"}}
    scalars = [{"name": name, "type": "int", "value": value} for name, value in (("n", 1), ("scale", 5))]
    called.bind(validate(IOContract, {"args": [tensor, *scalars]}).bind({}))
    assert called([torch.ones(1), 1, 5], []).tolist() == [5]


def test_a_wrong_number_of_arguments_stays_the_users_error(load):
    with pytest.raises(TypeError):
        load("def f(a, b, c, d):\n    pass\n")([torch.ones(1), 5, torch.zeros(1)], [])


def test_a_builtin_without_a_signature_takes_everything(load):
    called = load("f = torch.add\ndef g():\n    pass\n", function_name="f")
    assert called([torch.ones(1), torch.ones(1)], []).tolist() == [2]


# --- small things -----------------------------------------------------------------------------------


def test_seeding_reaches_every_generator():
    drawn = []
    for _ in range(2):
        seed_everything((1 << 63) - 1)
        drawn.append((float(torch.rand(())), float(np.random.rand()), random.random()))
    assert drawn[0] == drawn[1]


def test_moving_to_a_device_keeps_the_structure():
    tensor = torch.ones(2)
    value = {"a": [tensor, 1], "b": (tensor, None)}
    moved = to_device(value, torch.device("meta"))
    assert moved["a"][0].device.type == moved["b"][0].device.type == "meta"
    assert (moved["a"][1], moved["b"][1]) == (1, None)
    assert tensor.device.type == "cpu"
