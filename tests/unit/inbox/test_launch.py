import pytest

from kbd.inbox.errors import InvalidJob
from kbd.inbox.launch import BoundLaunch, LaunchConfig
from kbd.inbox.sizes import Resolver
from kbd.inbox.validation import validate


def bind(document, **bindings):
    resolver = Resolver(bindings)
    return validate(LaunchConfig, document).bind(resolver, "/launch"), resolver.problems


def test_a_launch_in_numbers():
    document = {
        "grid": ["ceildiv(N, 128)", 2],
        "block": {"x": "T"},
        "shared_mem_bytes": "T * 4",
        "num_warps": 4,
        "num_stages": 3,
        "cluster": [2],
    }
    launch, problems = bind(document, N=1024, T=128)
    assert problems == []
    assert launch == BoundLaunch(
        grid=(8, 2, 1), block=(128, 1, 1), shared_mem_bytes=512, num_warps=4, num_stages=3, cluster=(2, 1, 1)
    )


def test_an_empty_launch_binds_to_nothing():
    assert bind({}) == (BoundLaunch(), [])


def test_a_grid_that_the_kernels_configuration_completes():
    launch, problems = bind({"grid": ["ceildiv(N, BLOCK)", "M"], "tuned": ["BLOCK"]}, N=1000, M=3, other=1)
    assert (problems, launch.grid) == ([], None)
    assert launch.tuned_grid.bindings == {"N": 1000, "M": 3}
    assert launch.tuned_grid.under({"BLOCK": 128, "x_ptr": object(), "N": 5}) == (8, 3, 1)
    for wrong, message in (
        ({}, "BLOCK is not bound"),
        ({"BLOCK": 0}, "zero"),
        ({"BLOCK": -1}, "found -1000"),
    ):
        with pytest.raises(InvalidJob, match=message):
            launch.tuned_grid.under(wrong)


def test_what_nobody_binds_is_told_of_such_a_grid_too():
    _, (problem,) = bind({"grid": "ceildiv(N, BLOCK) * M", "tuned": ["BLOCK"]}, N=1000)
    assert (problem.pointer, problem.message) == ("/launch/grid", "M is not bound")


@pytest.mark.parametrize(
    ("document", "pointer", "message"),
    [
        ({"grid": 0}, "/grid/x", "the grid is out of range: expected 1 to 2147483647, found 0"),
        ({"grid": [1, 0]}, "/grid/y", "found 0"),
        ({"grid": [1, 65536]}, "/grid/y", "1 to 65535"),
        ({"grid": [1, "N", 0]}, "/grid/z", "found 0"),
        ({"block": 2048}, "/block/x", "1 to 1024, found 2048"),
        ({"block": [32, 64]}, "/block", "at most 1024, found 32 x 64 x 1 = 2048"),
        ({"block": [1, 1, 65]}, "/block/z", "1 to 64"),
        ({"block": {"w": 1}}, "/block/w", "unknown field: expected x, y and z"),
        ({"cluster": [4, 8]}, "/cluster", "at most 16"),
        ({"shared_mem_bytes": -1}, "/shared_mem_bytes", "found -1"),
        ({"shared_mem_bytes": "4 *"}, "/shared_mem_bytes", "cannot be read"),
        ({"num_warps": 3}, "/num_warps", "1, 2, 4, 8, 16 or 32"),
        ({"num_stages": 0}, "/num_stages", "at least 1"),
        ({"grid": "N blocks"}, "/grid", "cannot be read"),
        ({"blocks": 1}, "/blocks", "did you mean block"),
        ({"tuned": ["BLOCK SIZE"]}, "/tuned/0", "expected text like"),
    ],
)
def test_refused(document, pointer, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        validate(LaunchConfig, document)
    (problem,) = caught.value.problems
    assert problem.pointer.startswith(pointer)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(InvalidJob) as caught:
        validate(LaunchConfig, {"grid": 0, "block": 2048, "num_warps": 5})
    assert [problem.pointer for problem in caught.value.problems] == ["/grid/x", "/block/x", "/num_warps"]


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"grid": "N - 4"}, "/launch/grid/x"),
        ({"block": ["N * 64", 8]}, "/launch/block"),
        ({"grid": "K"}, "/launch/grid/x"),
        ({"grid": 3, "cluster": 2}, "/launch/cluster"),
        ({"shared_mem_bytes": "N - 5"}, "/launch/shared_mem_bytes"),
    ],
)
def test_what_only_shows_once_axes_are_bound(document, pointer):
    _, (problem,) = bind(document, N=4)
    assert problem.pointer == pointer


def test_sizes_have_their_pointers():
    launch = validate(LaunchConfig, {"grid": "N", "shared_mem_bytes": "4 * B"})
    assert list(launch.sizes()) == [
        ("/grid/x", "N"),
        ("/grid/y", 1),
        ("/grid/z", 1),
        ("/shared_mem_bytes", "4 * B"),
    ]
