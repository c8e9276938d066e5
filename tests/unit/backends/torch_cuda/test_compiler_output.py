"""What compilers print, as an author wants to read it."""

import pytest

from kbd.backends.torch_cuda.compiler_output import first_error, without_commands

GCC = """[1/3] c++ -MMD -MF main.o.d -DTORCH_EXTENSION_NAME=x -c /tmp/main.cpp -o main.o
FAILED: [code=1] main.o
c++ -MMD -MF main.o.d -DTORCH_EXTENSION_NAME=x -c /tmp/main.cpp -o main.o
kbd_kernel.py: In function 'int f()':
kbd_kernel.py:12:5: warning: unused
kbd_kernel.py:15:51: error: 'z' was not declared in this scope
   15 |     return z;
      |            ^
ninja: build stopped: subcommand failed.
"""

LD = "ld: main.o: in function `f':\nmain.cpp:(.text+0x5): undefined reference to `g()'\n"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (GCC, "line 15: 'z' was not declared in this scope"),
        ('kbd_kernel.py(7): error: identifier "z" is undefined\n', 'line 7: identifier "z" is undefined'),
        ("kbd_kernel.py(7): error #20: expected a ;\n", "line 7: expected a ;"),
        ("kbd_kernel.py:3:10: fatal error: x.h: No such file\n", "line 3: x.h: No such file"),
        ("functions:2:30: error: 'g' was not declared\n", "functions line 2: 'g' was not declared"),
        ("cpp_sources[0]:2: error: no\n", "cpp_sources[0] line 2: no"),
        (
            "/usr/include/torch/x.h:9:1: error: static assertion failed\n",
            "x.h line 9: static assertion failed",
        ),
        (
            LD,
            "undefined reference to `g()'",
        ),
        ("/usr/bin/ld: cannot find -lnothing: No such file\n", "cannot find -lnothing: No such file"),
        ("Killed\n", None),
        ("kbd_kernel.py:1:1: warning: error: no\n", None),
    ],
)
def test_the_first_error(output, message):
    assert first_error(output, "kbd_kernel.py") == message


def test_commands_are_left_out():
    told = without_commands(GCC)
    assert told.splitlines()[0] == "kbd_kernel.py: In function 'int f()':"
    assert told.splitlines()[-1] == "      |            ^"
    assert "c++" not in told


def test_other_words_are_kept():
    assert without_commands("/usr/bin/ld: cannot find -lx\n") == "/usr/bin/ld: cannot find -lx\n"
