"""The chances in docs/measurement.md: a kernel leaves its work out in most samples, and no audit sees it."""

import re
from math import comb
from pathlib import Path

import pytest

from kbd.daemon.judge.audit import FEW_TURNS, FEWEST, STEPS

PAGE = (Path(__file__).parents[4] / "docs" / "measurement.md").read_text()
(SAMPLES, ON_CPU, ON_GPU) = (
    [cell.strip().removesuffix(" %") for cell in re.search(rf"\| {name} \|(.*)\|\n", PAGE)[1].split("|")]
    for name in ("`num_trials`", "CPU", "GPU")
)


def steps(samples, told):
    """Turns of each step, and those of them that come before the samples are complete."""
    begin = 0
    while samples > 0:
        length = next(length for end, length in STEPS if begin < end)
        of_samples = length - 1 if told else length
        yield length, length if of_samples <= samples else min(length, samples + told)
        samples, begin = samples - of_samples, begin + length


def chance(samples, told):
    """Of the best choice of turns. `told`: audited turns are no samples."""
    wanted, turns = samples // 2 + 1, samples + FEWEST * told
    if turns <= FEW_TURNS:
        audited = min(FEWEST, turns)
        return comb(turns - wanted, audited) / comb(turns, audited)
    best = {0: 1.0}  # by the number of turns that are left out
    for length, within in steps(samples, told):
        found = {}
        for left_out, unseen in best.items():
            for more in range(within + 1):
                total = min(left_out + more, wanted)
                found[total] = max(found.get(total, 0.0), unseen * (1 - more / length))
        best = found
    return best[wanted]


@pytest.mark.parametrize(("told", "said"), [(True, ON_CPU), (False, ON_GPU)], ids=["cpu", "gpu"])
def test_the_chances_are_as_documented(told, said):
    assert len(said) == len(SAMPLES) >= 5
    for samples, percent in zip(map(int, SAMPLES), said, strict=True):
        assert float(percent) == pytest.approx(100 * chance(samples, told), abs=0.5)


@pytest.mark.parametrize("told", [True, False])
def test_no_number_of_samples_makes_it_likely(told):
    assert max(chance(samples, told) for samples in range(1, 200)) <= 0.2
