"""Every folder of tests/samples is delivered to one real daemon; each gets the verdict it expects.

A new sample is a new folder with `expected.json`; no code.
"""

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent.parent / "samples"
CASES = sorted(path for path in SAMPLES.iterdir() if (path / "expected.json").exists())


@pytest.fixture(scope="module")
def results(make_daemon):
    daemon = make_daemon()
    for case in CASES:
        daemon.deliver_sample(case)
    daemon.run_once()
    return daemon.results()


@pytest.mark.xdist_group("samples")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sample(case, results, sample_check):
    sample_check(case, results[case.name], "cpu")


@pytest.mark.xdist_group("samples")
def test_every_delivery_has_exactly_one_result(results):
    assert sorted(results) == [case.name for case in CASES]


@pytest.mark.xdist_group("samples")
def test_nothing_of_the_harness_is_shown(results):
    for result in results.values():
        traceback = (result["error"] or {}).get("traceback_tail") or ""
        assert "kbd/" not in traceback
        assert "/daemon/" not in traceback
