"""Triton's module of driver calls is built once, and then no process needs a C compiler for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kbd.backends.triton_seed import plant

pytest.importorskip("triton", reason="Triton is not installed")

# What the driver's library defines is looked up when it is called, and nothing here calls it.
SCRIPT = """
import os, sys
from pathlib import Path
from triton.backends.nvidia.driver import CudaUtils
from kbd.backends import triton_seed

sys.setdlopenflags(os.RTLD_LAZY)
sowing = triton_seed.Sowing()
sowing.begin()
sowing.finish()
os.environ["CC"] = "/bin/false"
os.environ["TRITON_CACHE_DIR"] = sys.argv[1]
if sys.argv[2] == "planted":
    triton_seed.plant(Path(sys.argv[1]))
from triton.runtime.cache import triton_key
print(callable(CudaUtils().load_binary), triton_key.cache_info().currsize)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A folder with a library that bears the name of CUDA's driver."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("driver")
    command = ["gcc", "-shared", "-x", "c", os.devnull, "-Wl,-soname,libcuda.so.1", "-o"]
    subprocess.run([*command, folder / "libcuda.so.1"], check=True)
    return folder


def run(driver, cache, planted):
    environment = os.environ | {"TRITON_LIBCUDA_PATH": str(driver), "LD_LIBRARY_PATH": str(driver)}
    command = [sys.executable, "-c", SCRIPT, str(cache), planted]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_with_it_no_compiler_runs(driver, tmp_path):
    found = run(driver, tmp_path / "cache", "planted")
    assert found.stdout == "True 1\n", found.stderr


def test_without_it_one_would(driver, tmp_path):
    found = run(driver, tmp_path / "cache", "not planted")
    assert "/bin/false" in found.stderr


def test_where_nothing_was_built_nothing_is_planted(tmp_path):
    plant(tmp_path / "cache")
    assert not Path(tmp_path / "cache").exists()
