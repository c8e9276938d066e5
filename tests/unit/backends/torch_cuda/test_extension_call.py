"""Calls that build extensions are known by their content, however they are written."""

import pytest

from kbd.backends.torch_cuda.extension_call import ExtensionCall

INLINE = [
    "name",
    "cpp_sources",
    "cuda_sources",
    "functions",
    "extra_cflags",
    "verbose",
    "build_directory",
    "with_cuda",
]
FILES = ["name", "sources", "extra_include_paths"]


def inline(*given, **named):
    return ExtensionCall.of("load_inline", INLINE, given, named)


def files(*given, **named):
    return ExtensionCall.of("load", FILES, given, named)


BASE = inline("x", "int f();", functions=["f"])


@pytest.mark.parametrize(
    "same",
    [
        inline(name="x", cpp_sources="int f();", functions=["f"]),
        inline("x", ["int f();"], functions="f"),
        inline("x", ("int f();",), None, ["f"]),
        inline("x", "int f();", [], ["f"]),
        inline("x", "int f();", functions=["f"], verbose=True, build_directory="/somewhere"),
        inline("x", "int f();", functions=["f"], extra_cflags=[]),
        inline("x", "int f();", functions={"f": None}),
    ],
)
def test_the_same_extension(same):
    assert same.key() == BASE.key()


@pytest.mark.parametrize(
    "other",
    [
        inline("y", "int f();", functions=["f"]),
        inline("x", "int f() ;", functions=["f"]),
        inline("x", ["int f()", ";"], functions=["f"]),
        inline("x", "int f();", functions=["g"]),
        inline("x", "int f();", functions={"f": "documented"}),
        inline("x", "int f();", "// cuda", functions=["f"]),
        inline("x", "int f();", functions=["f"], extra_cflags=["-O3"]),
        inline("x", "int f();", functions=["f"], with_cuda=True),
        files("x", []),
    ],
)
def test_another_extension(other):
    assert other.key() != BASE.key()


def test_files_count_by_their_content(tmp_path):
    def written(folder, source="int f();", header="#define X"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "f.cpp").write_text(source)
        (tmp_path / folder / "f.h").write_text(header)
        return files("x", [tmp_path / folder / "f.cpp"], extra_include_paths=[str(tmp_path / folder)])

    first = written("a")
    assert written("b").key() == first.key()
    assert written("c", source="int g();").key() != first.key()
    assert written("d", header="#define Y").key() != first.key()
    assert files("x", ["/nowhere/f.cpp"]).key() != first.key()
    assert (
        files("x", str(tmp_path / "a" / "f.cpp")).key() == files("x", [str(tmp_path / "b" / "f.cpp")]).key()
    )


def test_folders_of_the_system_count_by_their_name():
    assert files("x", [], ["/usr/include/a"]).key() != files("x", [], ["/usr/include/b"]).key()


@pytest.mark.parametrize(
    ("call", "needs"),
    [
        (BASE, False),
        (inline("x", "", "__global__ void f() {}"), True),
        (inline("x", "", "// cuda", with_cuda=False), False),
        (inline("x", "", with_cuda=True), True),
        (files("x", ["a.cpp"]), False),
        (files("x", ["a.cpp", "b.cu"]), True),
        (files("x", "b.cu"), True),
    ],
)
def test_whether_it_needs_cuda(call, needs):
    assert call.needs_cuda is needs


@pytest.mark.parametrize(
    ("given", "named", "message"),
    [
        (range(9), {}, "at most 8"),
        ((), {"cpp_sources": ""}, "missing 1 required positional argument: 'name'"),
        (("x",), {"name": "y"}, "multiple values for argument 'name'"),
        (("x",), {"cxx_sources": ""}, "unexpected keyword argument 'cxx_sources'"),
    ],
)
def test_a_wrong_call_fails_as_the_real_one(given, named, message):
    with pytest.raises(TypeError, match=message):
        inline(*given, **named)
