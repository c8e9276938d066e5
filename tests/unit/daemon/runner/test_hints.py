"""Mistakes that kernels make most often, made by real ones."""

import importlib.util

import pytest

from kbd.daemon.runner.hints import hint_for


@pytest.fixture
def raised(tmp_path, monkeypatch):
    """What calling `f` of a module in this folder raises."""
    monkeypatch.chdir(tmp_path)

    def call(source, *arguments):
        path = tmp_path / "kernel.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("kernel", path)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            module.f(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever the kernel raises
            return error
        return None

    return call


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("def f(x): return torch.relu(x)", "import or define torch in this kernel's own source"),
        ("def f(x, y): return x", "take as many arguments"),
        ("def f(): return 1", "take as many arguments"),
        ("class Model:\n    def __call__(self, x, y): return x\nf = Model()", "take as many arguments"),
    ],
)
def test_a_mistake_that_everybody_makes(raised, source, hint):
    assert hint in hint_for(raised(source, 1))


@pytest.mark.parametrize(
    "source",
    [
        "def g(x, y): return x\ndef f(x): return g(x)",  # its own call, in its own source
        "def f(x): return x + 'a'",
        "def f(x): raise ValueError('takes 1')",
        "class Odd(TypeError):\n    def __str__(self): raise OSError\ndef f(x): raise Odd",
        "class Odd(NameError):\n    name = property(lambda self: 1 / 0)\ndef f(x): raise Odd",
        "def f(x): raise NameError('odd', name=3)",
        "class Odd:\n    def __str__(self): raise OSError\ndef f(x): raise TypeError(Odd())",
    ],
)
def test_what_only_its_author_can_know(raised, source):
    assert hint_for(raised(source, 1)) is None


GRADIENTS = """import torch
def f(x):
    with torch.inference_mode(), torch.enable_grad():
        {}
"""


@pytest.mark.parametrize(
    "use",
    [
        "z = torch.ones(2).requires_grad_()\n        torch.autograd.grad((z * z).sum(), [z])",
        "z = torch.ones(2).requires_grad_()\n        (z * z).sum().backward()",
        "z = torch.ones(2)\n        with torch.inference_mode(False): z.requires_grad_()",
        "z = torch.ones(2)\n        with torch.inference_mode(False): z.add_(torch.ones(2, requires_grad=True))",
        "z = torch.ones(2)\n        with torch.inference_mode(False): torch.ones(2, requires_grad=True) * z",
    ],
    ids=["grad", "backward", "requires", "in_place", "saved"],
)
def test_gradients_in_inference_mode(raised, use):
    assert "torch.inference_mode(False)" in hint_for(raised(GRADIENTS.format(use), 1))
