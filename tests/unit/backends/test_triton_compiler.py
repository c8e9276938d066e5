"""Bare Triton kernels are compiled for a GPU that is not here, and found again wherever the artifact goes."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from kbd.backends.base import Artifact, CompileFailed, CompileRequest, Target
from kbd.backends.python_source import MODULE_NAME
from kbd.backends.triton_backend import BACKEND
from kbd.backends.triton_compiler import CACHE, use_cache
from kbd.inbox.contract import IOContract
from kbd.inbox.manifest import KernelCode
from kbd.inbox.validation import validate

pytest.importorskip("triton", reason="Triton is not installed")
H100 = Target("cuda", "sm_90")
HEAD = "import torch\nimport triton\nimport triton.language as tl\n\n\n"
ADD = """@triton.jit
def add_kernel(x_ptr, y_ptr, n_elements, BLOCK: tl.constexpr):
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y_ptr + places, tl.load(x_ptr + places, mask=places < n_elements) + 1, mask=places < n_elements)
"""
AUTOTUNED = (
    '@triton.autotune([triton.Config({"BLOCK": 64}), triton.Config({"BLOCK": 128})], key=["n_elements"])\n'
)


@pytest.fixture(autouse=True)
def _apart(monkeypatch, tmp_path):
    """Compiling leaves a module and a variable behind."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "elsewhere"))
    yield
    sys.modules.pop(MODULE_NAME, None)


def contracts(*sizes, block=64, dtype="float32"):
    tensor = {"type": "tensor", "tensor_spec": {"shape": ["N"], "dtype": dtype}}
    args = [
        {"name": "x_ptr", **tensor},
        {"name": "y_ptr", "role": "output", **tensor},
        {"name": "n_elements", "type": "int", "value": "N"},
    ]
    if block:
        args.append({"name": "BLOCK", "type": "int", "value": block, "is_meta": True})
    contract = validate(IOContract, {"args": args, "launch": {"grid": 16, "num_warps": 2 if block else None}})
    return tuple(contract.bind({"N": size}) for size in sizes)


@pytest.fixture
def build(tmp_path):
    def run(source, *bound, target=H100, head=HEAD):
        folder = tmp_path / "made"
        folder.mkdir(exist_ok=True)
        kernel = KernelCode(kernel_type="triton", source_code=head + source)
        return BACKEND.compile(CompileRequest(kernel, target, bound or contracts(1024)), folder)

    return run


def cubins(folder):
    return sorted((folder / CACHE).glob("*/add_kernel.cubin"))


def test_a_kernel_is_compiled_for_the_target(build):
    artifact = build(ADD)
    assert (artifact.entry, artifact.properties) == ("add_kernel", {"unfinished": None})
    (cubin,) = cubins(artifact.folder)
    described = json.loads((cubin.parent / "add_kernel.json").read_text())
    assert (described["target"]["arch"], described["num_warps"]) == (90, 2)
    assert cubin.read_bytes().startswith(b"\x7fELF")


def test_each_signature_is_compiled_once(build):
    # 1 is a constant to Triton, multiples of 16 are known to be so, 1000 and 1008 are neither alike.
    assert len(cubins(build(ADD, *contracts(1024, 2048, 1001, 1)).folder)) == 3


def test_every_configuration_of_an_autotuned_kernel_is_compiled(build):
    artifact = build(AUTOTUNED + ADD, *contracts(1024, block=None))
    assert artifact.properties == {"unfinished": None}
    assert len(cubins(artifact.folder)) == 2


def test_a_copied_artifact_is_found_without_compiling(build, tmp_path, monkeypatch):
    build(ADD).write()
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "made", moved)
    artifact = Artifact.read(moved)
    use_cache(artifact.folder)
    from kbd.backends import triton_compiler

    monkeypatch.setattr("triton.compiler.compiler.ASTSource.make_ir", None)
    kernel = KernelCode(kernel_type="triton", source_code=HEAD + ADD)
    monkeypatch.setattr(triton_compiler, "source_in", lambda folder: moved / f"{MODULE_NAME}.py")
    request = CompileRequest(kernel, H100, contracts(1024))
    from kbd.backends.triton_source import chosen_kernel

    assert triton_compiler.compile_ahead(request, chosen_kernel(kernel), moved) is None


HELPER = "\n\n@triton.jit\ndef helper(p):\n    return tl.load(p + nowhere)\n"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("tl.load(x_ptr + nowhere)", "line 9: .*nowhere"),
        ("tl.load(x_ptr + tl.arange(0, 3))", "line 9: .*power of 2"),
        ("helper(x_ptr)", "line 14: .*nowhere"),
    ],
)
def test_what_the_compiler_says_names_the_line_of_the_users_source(build, wrong, message):
    source = ADD.replace("tl.load(x_ptr + places, mask=places < n_elements)", wrong)
    source += HELPER if "helper" in wrong else ""
    with pytest.raises(CompileFailed, match=message) as error:
        build(source)
    assert error.value.output


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("torch.cuda.get_device_properties(0)\n" + ADD, "cannot be imported without a device"),
        (
            AUTOTUNED.replace(
                ", key", ", prune_configs_by={'early_config_prune': lambda c, n, **k: 1 / 0}, key"
            )
            + ADD,
            "ZeroDiv",
        ),
    ],
)
def test_what_needs_a_device_is_left_to_the_runner(build, source, reason):
    artifact = build(source, *contracts(1024, block=None if "autotune" in source else 64))
    assert reason in artifact.properties["unfinished"]


def test_nothing_is_compiled_where_there_is_no_gpu(build):
    artifact = build(ADD, target=Target("cpu"))
    assert artifact.entry == "add_kernel"
    assert [path.name for path in Path(artifact.folder).iterdir()] == [f"{MODULE_NAME}.py"]


def test_an_unknown_architecture_is_left_to_the_runner(build):
    assert "architecture" in build(ADD, target=Target("cuda")).properties["unfinished"]


def test_modules_are_not_compiled_ahead(build, tmp_path):
    kernel = KernelCode(kernel_type="triton", source_code=HEAD + ADD + "def run(x):\n    return x\n")
    artifact = BACKEND.compile(CompileRequest(kernel, H100), tmp_path)
    assert artifact.entry is None
    assert not (tmp_path / CACHE).exists()


def test_a_bare_kernel_needs_a_contract(tmp_path):
    kernel = KernelCode(kernel_type="triton", source_code=HEAD + ADD)
    with pytest.raises(CompileFailed, match="needs a contract"):
        BACKEND.compile(CompileRequest(kernel, H100), tmp_path)
