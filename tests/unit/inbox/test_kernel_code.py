import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.kernel_code import CompileOptions, KernelCode
from kbd.inbox.validation import validate


def kernel(kernel_type="cuda", **fields):
    return {"kernel_type": kernel_type, "source_code": "x", **fields}


@pytest.mark.parametrize(
    "document",
    [
        kernel("torch"),
        kernel("torch", metadata={"class_name": "Net", "method_name": "run"}),
        kernel("cuda", metadata={"kernel_name": "k", "compiler_options": ["-O3"], "backend": "nvrtc"}),
        kernel("cuda", metadata=None),
        kernel("cuda", metadata={"jitify": False, "note": {"any": [1, None]}}),
        kernel("multi_kernel", metadata={"entry_point": "run", "description": "two\nlines"}),
        kernel("my_plugin", metadata={"kernel_nmae": 5}),
        kernel("cuda", compile_options={"cuda_cflags": ["-O3"]}),
    ],
)
def test_accepted(document):
    code = validate(KernelCode, document)
    assert KernelCode.model_validate_json(code.model_dump_json()) == code


def test_defaults():
    code = validate(KernelCode, kernel())
    assert code.metadata == {}
    assert code.compile_options == CompileOptions(cflags=(), cuda_cflags=(), ld_flags=())
    assert code.io is None


@pytest.mark.parametrize(
    ("document", "pointer", "message"),
    [
        ({"source_code": "x"}, "/kernel_type", "missing: expected torch, torch_cuda"),
        ({"kernel_type": "torch"}, "/source_code", "missing"),
        (kernel("Torch"), "/kernel_type", "text like"),
        (kernel("torch") | {"source_code": " \n"}, "/source_code", "the source is empty"),
        (kernel("torch") | {"source": "x"}, "/source", "did you mean source_code"),
        (kernel("cuda", metadata={"kernel_nmae": "k"}), "/metadata/kernel_nmae", "did you mean kernel_name"),
        (kernel("cuda", metadata={"kernel_name": 5}), "/metadata/kernel_name", "expected text"),
        (kernel("cuda", metadata={"kernel_name": " "}), "/metadata/kernel_name", "expected text"),
        (
            kernel("cuda", metadata={"compiler_options": "-O3"}),
            "/metadata/compiler_options",
            "a list of text",
        ),
        (kernel("cuda", metadata={"backend": "gcc"}), "/metadata/backend", "nvcc or nvrtc"),
        (kernel("cuda", metadata=[]), "/metadata", "a mapping"),
        (kernel("multi_kernel"), "/metadata/entry_point", "name the function to call"),
        (kernel("cuda", compile_options={"cuda_cflags": "-O3"}), "/compile_options/cuda_cflags", "a list"),
        (kernel("cuda", compile_options={"cflags": [""]}), "/compile_options/cflags/0", "at least 1 char"),
    ],
)
def test_refused(document, pointer, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        validate(KernelCode, document)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]
