"""Remarks on a candidate's text."""

import pytest

from kbd.daemon.runner.screening import MAX_SOURCE_CHARS, notes_on

FALLBACK = "def f(x):\n    try:\n        return fast(x)\n    except Exception:\n        return x.relu()\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (FALLBACK, "line 2: the candidate falls back to other code when something fails"),
        ("import sys\nf = sys._getframe(1)\n", "line 2: the candidate uses sys._getframe"),
        ("import torch\ntorch.cuda.Event = None\n", "line 2: the candidate replaces torch.cuda.Event"),
    ],
)
def test_what_is_remarked(source, said):
    (note,) = notes_on(source)
    assert note.startswith(said)


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    try:\n        return fast(x)\n    except ValueError:\n        raise TypeError(x)\n",
        "try:\n    import fast\nexcept ImportError:\n    fast = None\n",
        "def f(x):\n    try:\n        return g(x)\n    except KeyError:\n        return None\n",
        "import time\nstart = time.perf_counter()\n",
        "no python {",
        "-" * 50_000 + "1",
        "x = 1\n" * MAX_SOURCE_CHARS,
        "",
    ],
    ids=range(8),
)
def test_what_is_not(source):
    assert notes_on(source) == ()
