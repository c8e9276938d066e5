"""Every folder of tests/samples is delivered to one real daemon; each gets the verdict it expects.

A new sample is a new folder with `expected.json`; no code. Hostile ones have a daemon to themselves, which is
looked at more closely (test_nothing_is_left.py).
"""

import pytest

DEVICE = "cpu"
WANTS = {"hostile": False}


@pytest.mark.xdist_group("samples")
def test_sample(sample, sample_results, sample_check):
    sample_check(sample, sample_results[sample.name], DEVICE)


@pytest.mark.xdist_group("samples")
def test_every_delivery_has_exactly_one_result(sample_results, samples_of):
    assert sorted(sample_results) == [case.name for case in samples_of(DEVICE, **WANTS)]


@pytest.mark.xdist_group("samples")
def test_nothing_of_the_harness_is_shown(sample_results):
    for result in sample_results.values():
        traceback = (result["error"] or {}).get("traceback_tail") or ""
        assert "kbd/" not in traceback
        assert "/daemon/" not in traceback
