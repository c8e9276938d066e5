"""A builder that compiles nothing, and modules that ask for extensions."""

import sys
from pathlib import Path

import pytest

from kbd.backends.torch_cuda.builder import BuildFailed
from kbd.backends.torch_cuda.cpp_extension import NAME, real_cpp_extension


class RecordingBuilder:
    """Its libraries are Python files, which the loader takes as well; `refuse`: what does not build, and why."""

    def __init__(self, folder):
        self.folder = folder
        self.orders = []
        self.refuse = {}

    def build(self, order):
        self.orders.append(order)
        name = order.call.name
        if name in self.refuse:
            raise BuildFailed(f"extension {name}: {self.refuse[name]}", output="the compiler's words")
        folder = self.folder / f"{len(self.orders)}"
        folder.mkdir(parents=True)
        library = folder / f"{name}.py"
        library.write_text(f"NAME = {name!r}\ndef double(x):\n    return x + x\n")
        return library

    @property
    def built(self):
        return [order.call.name for order in self.orders]


@pytest.fixture
def builder(tmp_path):
    return RecordingBuilder(tmp_path / "libraries")


@pytest.fixture(autouse=True)
def _restore():
    """The real module is back after each test, and no user's module is left."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    yield
    sys.dont_write_bytecode = before
    import torch.utils

    torch.utils.cpp_extension = sys.modules[NAME] = real_cpp_extension()
    sys.modules.pop("kbd_kernel", None)


@pytest.fixture
def folder(tmp_path):
    path = Path(tmp_path / "artifact")
    path.mkdir()
    return path
