"""Lines of C++ find their place in the Python module."""

import pytest

from kbd.backends.torch_cuda.source_lines import SourceLines

MODULE = '''import torch

plain = """
int first;
int second;
"""

raw = r"""int third;
printf("\\n");
"""

continued = """\\
int fourth;
"""

short = "int fifth;"
built = plain + raw
'''


@pytest.mark.parametrize(
    ("text", "directive"),
    [
        ("\nint first;\nint second;\n", '#line 3 "kbd_kernel.py"'),
        ("int second;\n", '#line 5 "kbd_kernel.py"'),
        ('int third;\nprintf("\\n");\n', '#line 8 "kbd_kernel.py"'),
        ("int fourth;\n", '#line 13 "kbd_kernel.py"'),
        ("int fifth;", '#line 16 "kbd_kernel.py"'),
        ("\nint first;\nint second;\nint third;", '#line 1 "cpp_sources[0]"'),
    ],
    ids=["a literal", "a part", "raw", "continued", "one line", "put together"],
)
def test_where_a_text_stands(text, directive):
    (marked,) = SourceLines(MODULE, "kbd_kernel.py").marked([text], "cpp_sources")
    assert marked == f"{directive}\n{text}"


def test_each_text_has_its_own_place():
    first, second = SourceLines(MODULE, "m.py").marked(["int fifth;", "unknown"], "cuda_sources")
    assert first.startswith('#line 16 "m.py"\n')
    assert second.startswith('#line 1 "cuda_sources[1]"\n')


@pytest.mark.parametrize("source", ["def (", "x = " + "(" * 5000, "\0"], ids=["syntax", "depth", "null"])
def test_a_module_that_cannot_be_parsed(source):
    assert SourceLines(source, "m.py").marked(["x"], "a") == ['#line 1 "a[0]"\nx']
