"""Kept references: the same code of the same owner, so many jobs, and never more than have room."""

import pytest

from kbd.daemon.executor.kept_references import KeptReferences, reference_key
from kbd.daemon.executor.protocol import DeviceTarget
from kbd.inbox.manifest import KernelCode

CPU = DeviceTarget(kind="cpu")


def kernel(source="def f(): pass", kind="torch"):
    return KernelCode(kernel_type=kind, source_code=source)


def test_a_kept_runner_is_taken_once_and_with_its_uses(started, on_loop):
    kept = KeptReferences(most=2, uses=3)

    async def story():
        runner = await started()
        await kept.keep("key", runner, 1)
        assert kept.pids == {runner.process.pid}
        assert kept.take("another key") is None
        assert kept.take("key") == (runner, 1)
        assert kept.take("key") is None
        assert kept.pids == set()

    on_loop(story())


def test_the_oldest_gives_way(started, on_loop):
    kept = KeptReferences(most=2, uses=3)

    async def story():
        first, second, third = [await started() for _ in range(3)]
        for name, runner in (("a", first), ("b", second), ("c", third)):
            await kept.keep(name, runner, 1)
        assert [runner.process.alive for runner in (first, second, third)] == [False, True, True]
        assert kept.take("a") is None

    on_loop(story())


def test_one_that_died_meanwhile_is_not_given_out(started, on_loop):
    kept = KeptReferences(most=2, uses=3)

    async def story():
        runner = await started()
        await kept.keep("key", runner, 1)
        await runner.process.kill()
        assert kept.take("key") is None
        other = await started()
        await kept.keep("key", other, 1)
        assert kept.pids == {other.process.pid}, "it is not kept for ever either"

    on_loop(story())


def test_closing_ends_them(started, on_loop):
    kept = KeptReferences(most=2, uses=3)

    async def story():
        runner = await started()
        await kept.keep("key", runner, 1)
        await kept.close()
        return runner.process.alive, runner.folder.exists()

    assert on_loop(story()) == (False, False)


def test_a_runner_serves_so_many_jobs():
    kept = KeptReferences(most=2, uses=3)
    assert [kept.wants(uses) for uses in (1, 2, 3)] == [True, True, False]


def test_the_same_code_of_the_same_owner_has_one_key():
    assert reference_key(kernel(), "ann") == reference_key(kernel(), "ann")
    assert reference_key(kernel(), "ann") != reference_key(kernel(), "bob")
    assert reference_key(kernel(), "ann") != reference_key(kernel("def g(): pass"), "ann")


@pytest.mark.parametrize("reference", [None, kernel("void f();", "cuda")])
def test_what_is_not_kept_has_no_key(reference):
    assert reference_key(reference, "ann") is None
